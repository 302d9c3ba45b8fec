//go:build !linux

package testenv

import "syscall"

// dieWithParent is only known to Linux; elsewhere a test binary that dies by a panic leaves its children behind.
func dieWithParent() *syscall.SysProcAttr { return nil }
