// Package fault names the points of the program at which a test may kill it.
//
// In a normal build Point does nothing. Built with the tag `faultpoints`, the
// environment variable BESSD_FAULT="name:count" makes the process kill itself
// with SIGKILL when it passes the named point for the count-th time, and
// "name:count:sleep=5s" makes it sleep there instead. Several, separated by
// commas, may be given.
package fault
