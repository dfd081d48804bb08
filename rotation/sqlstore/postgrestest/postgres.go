// Package postgrestest starts a private PostgreSQL for a test, as httptest starts a
// web server: on loopback, in a folder of its own, gone with the test. It is the
// real server of the Debian package, so what is proven with it holds. It is not
// for anything but tests.
package postgrestest

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// Start starts a server that ends with the test, and returns a function that makes
// an empty database in it and returns its URL. It skips the test, saying so, where
// PostgreSQL is not installed.
func Start(t *testing.T) func(t *testing.T) string {
	t.Helper()
	bin := folder()
	if bin == "" {
		t.Skip("PostgreSQL IS NOT TESTED: there is no initdb in /usr/lib/postgresql/*/bin (apt-get install postgresql)")
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir, err := os.MkdirTemp("", "postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	attr := &syscall.SysProcAttr{}
	if os.Getuid() == 0 { // the server refuses to run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Skip("PostgreSQL IS NOT TESTED: this is root and there is no user postgres to run the server")
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		must(os.Chown(dir, uid, gid))
	}
	command := func(name string, args ...string) *exec.Cmd {
		c := exec.Command(filepath.Join(bin, name), args...)
		c.Dir, c.SysProcAttr = dir, attr
		return c
	}
	data := filepath.Join(dir, "data")
	if out, err := command("initdb", "-D", data, "-U", "tester", "-A", "trust", "--no-sync", "--locale=C").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	must(l.Close())
	server := command("postgres", "-D", data, "-p", strconv.Itoa(port), "-h", "127.0.0.1", "-k", dir, "-c", "fsync=off")
	var said bytes.Buffer
	server.Stdout, server.Stderr = &said, &said
	must(server.Start())
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGINT)
		_ = server.Wait()
	})
	address := fmt.Sprintf("postgres://tester@127.0.0.1:%d/", port)
	admin, err := sql.Open("pgx", address+"postgres")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { admin.Close() })
	until := time.Now().Add(30 * time.Second)
	for admin.PingContext(context.Background()) != nil {
		if time.Now().After(until) {
			t.Fatalf("the server does not answer:\n%s", said.String())
		}
		time.Sleep(50 * time.Millisecond) // it says nowhere else that it is ready
	}
	n := 0
	return func(t *testing.T) string {
		t.Helper()
		n++
		name := fmt.Sprintf("test_%d", n)
		if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
			t.Fatal(err)
		}
		return address + name
	}
}

// folder is where initdb is; "" when it is nowhere.
func folder() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		if path, err := exec.LookPath("initdb"); err == nil {
			return filepath.Dir(path)
		}
		return ""
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1])
}
