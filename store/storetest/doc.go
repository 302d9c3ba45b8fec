// Package storetest has the tests that every object store of the lake must
// pass. They run on a directory, on an S3 server in the test's own process and,
// if one is configured, on a real one.
package storetest
