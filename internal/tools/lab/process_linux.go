package lab

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

var errNoProcess = errors.New("lab: no such process")

// processIdentity returns a word that no other process has, neither after the
// number was given out anew nor after a reboot: the boot and the start time
// in clock ticks. A zombie is no process.
func processIdentity(pid int) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", errNoProcess
	}
	// The name in parentheses may hold anything, so fields are counted from
	// the last parenthesis: state is the first behind it, starttime the 20th.
	i := strings.LastIndexByte(string(b), ')')
	f := strings.Fields(string(b)[i+1:])
	if i < 0 || len(f) < 20 {
		return "", fmt.Errorf("lab: /proc/%d/stat has an unknown form", pid)
	}
	if f[0] == "Z" || f[0] == "X" {
		return "", errNoProcess
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(boot)) + "/" + f[19], nil
}
