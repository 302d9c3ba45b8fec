//go:build integration && faultpoints

package e2e

// buildTags are the build tags of the program under test.
const buildTags = "faultpoints"
