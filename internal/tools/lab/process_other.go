//go:build !linux

package lab

import (
	"errors"
	"os/exec"
	"strconv"
	"strings"
)

var errNoProcess = errors.New("lab: no such process")

// processIdentity returns the time at which a process started, as ps tells
// it: with the number it is as good as unique. A zombie is no process.
func processIdentity(pid int) (string, error) {
	out, err := exec.Command("ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return "", errNoProcess
	}
	f := strings.Fields(string(out))
	if len(f) < 2 || strings.HasPrefix(f[0], "Z") {
		return "", errNoProcess
	}
	return strings.Join(f[1:], "_"), nil
}
