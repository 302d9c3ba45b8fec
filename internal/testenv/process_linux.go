package testenv

import "syscall"

// dieWithParent has the kernel kill the child when the test binary dies without cleaning up (a panic, a timeout).
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
