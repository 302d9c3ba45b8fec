//go:build !race

package main

const demoTestSites = 2
