//go:build race

package main

// demoTestSites is one under the race detector: it takes memory that one spool unmapped and another mapped at the same
// address for a race, and two agents have two spools.
const demoTestSites = 1
