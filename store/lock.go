package store

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"prunella"
)

// lockPath takes the lock file for this process. The kernel gives it free when
// the process ends, however it ends, so a file that is left over means nothing.
func lockPath(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, unwritable(path, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if err != syscall.EWOULDBLOCK {
			return nil, &prunella.Error{Kind: prunella.Invalid, Op: "open store", Where: path, Reason: "the data folder cannot be locked",
				Remedy: "put it on a local file system", Err: err}
		}
		return nil, &prunella.Error{Kind: prunella.Conflict, Op: "open store", Where: path,
			Reason: "the data folder is in use by " + holder(f), Remedy: "stop that process or choose another folder"}
	}
	if err = f.Truncate(0); err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		f.Close()
		return nil, unwritable(path, err)
	}
	return f, nil
}

// holder names the process that wrote its id into a lock file.
func holder(f *os.File) string {
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		return "another process"
	}
	if pid == os.Getpid() {
		return "this process already"
	}
	return fmt.Sprintf("another process (pid %d)", pid)
}
