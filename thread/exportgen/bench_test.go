package exportgen_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"prunella/thread"
	"prunella/thread/exportgen"
)

// Bars of an archive with 100,000 messages.
const (
	maxSeconds = 20.0
	maxMiB     = 300.0
)

// big writes an archive with at least n messages, incidents in proportion.
func big(tb testing.TB, n int) (path string, messages int) {
	tb.Helper()
	a := exportgen.Generate(exportgen.Options{Seed: 77, Days: 330, Incidents: n / 500, Chatter: n - n/500*28})
	if a.Messages < n {
		a = exportgen.Generate(exportgen.Options{Seed: 77, Days: 330, Incidents: n / 500, Chatter: 2*n - n/500*28 - a.Messages + 200})
	}
	path = filepath.Join(tb.TempDir(), "big.zip")
	f, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	if err := a.WriteZip(f); err != nil {
		tb.Fatal(err)
	}
	return path, a.Messages
}

// BenchmarkExtract100k extracts an archive with 100,000 messages in a process
// of its own, so that the peak of its memory is the peak of the extraction.
func BenchmarkExtract100k(b *testing.B) {
	path, n := big(b, 100_000)
	if n < 100_000 {
		b.Fatalf("the archive has only %d messages", n)
	}
	for b.Loop() {
		seconds, cpu, mib, found := child(b, path)
		b.ReportMetric(seconds, "s/archive")
		b.ReportMetric(cpu, "cpu-s/archive") // what it takes on an idle machine, at most
		b.ReportMetric(mib, "peak-MiB")
		b.ReportMetric(float64(found), "incidents")
		if seconds > maxSeconds || mib > maxMiB {
			b.Errorf("%.1f s (%.1f s of CPU) and %.0f MiB for %d messages; the bars are %.0f s and %.0f MiB", seconds, cpu, mib, n, maxSeconds, maxMiB)
		}
	}
}

const childPath = "PRUNELLA_EXTRACT_ARCHIVE"

var report = regexp.MustCompile(`extracted (\d+) incidents in ([\d.]+) s, ([\d.]+) s of CPU, peak ([\d.]+) MiB`)

func child(tb testing.TB, path string) (seconds, cpu, mib float64, found int) {
	tb.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestExtractInAProcessOfItsOwn$", "-test.v")
	cmd.Env = append(os.Environ(), childPath+"="+path)
	out, err := cmd.CombinedOutput()
	m := report.FindSubmatch(out)
	if err != nil || m == nil {
		tb.Fatalf("extraction: %v\n%s", err, out)
	}
	found, _ = strconv.Atoi(string(m[1]))
	seconds, _ = strconv.ParseFloat(string(m[2]), 64)
	cpu, _ = strconv.ParseFloat(string(m[3]), 64)
	mib, _ = strconv.ParseFloat(string(m[4]), 64)
	return seconds, cpu, mib, found
}

func TestExtractInAProcessOfItsOwn(t *testing.T) {
	path := os.Getenv(childPath)
	if path == "" {
		t.Skip("runs as a child of BenchmarkExtract100k")
	}
	start := time.Now()
	e, err := thread.OpenExport(path)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	result, err := thread.Extract(context.Background(), e.Directory(), e.Messages(), thread.Options{})
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	cpu := time.Duration(used.Utime.Nano() + used.Stime.Nano())
	fmt.Printf("extracted %d incidents in %.2f s, %.2f s of CPU, peak %.1f MiB\n", len(result.Extractions), took.Seconds(), cpu.Seconds(), peakMiB(t))
}

// peakMiB is the most memory this process ever held.
func peakMiB(t *testing.T) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("no /proc here: ", err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		t.Fatal("no VmHWM in /proc/self/status")
	}
	kb, _ := strconv.ParseFloat(string(m[1]), 64)
	return kb / 1024
}
