package exportgen_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
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

// big writes an archive of the bank with at least n messages, one of 500 of
// them the beginning of an incident.
func big(tb testing.TB, bank exportgen.Bank, n int) (path string, a *exportgen.Archive) {
	tb.Helper()
	o := exportgen.Options{Seed: 77, Bank: bank, Days: 330, Incidents: n / 500, Chatter: n - n/500*28}
	if a = exportgen.Generate(o); a.Messages < n {
		o.Chatter += n - a.Messages + 200
		a = exportgen.Generate(o)
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
	return path, a
}

// BenchmarkExtract100k extracts an archive of each bank with 100,000 messages
// in a process of its own, so that the peak of its memory is the peak of the
// extraction. It tells as well how many of the conversations that were found
// are incidents, and how many of the incidents were found.
func BenchmarkExtract100k(b *testing.B) {
	var rows []string
	for _, bank := range all {
		b.Run(string(bank), func(b *testing.B) {
			path, a := big(b, bank, 100_000)
			if a.Messages < 100_000 {
				b.Fatalf("the archive has only %d messages", a.Messages)
			}
			row := ""
			for b.Loop() {
				seconds, cpu, mib, found := child(b, path)
				score, _ := exportgen.Compare(a.Truth, found)
				conversations := score.Of("conversations")
				b.ReportMetric(seconds, "s/archive")
				b.ReportMetric(cpu, "cpu-s/archive") // what it takes on an idle machine, at most
				b.ReportMetric(mib, "peak-MiB")
				b.ReportMetric(float64(len(found)), "incidents")
				b.ReportMetric(conversations.Precision(), "precision")
				b.ReportMetric(conversations.Recall(), "recall")
				row = fmt.Sprintf("| %s | %.1f s | %.0f MiB | %d of %d | %.3f / %.3f |\n", bank, cpu, mib, len(found), conversations.True,
					conversations.Precision(), conversations.Recall())
				if min(seconds, cpu) > maxSeconds || mib > maxMiB { // a busy machine stretches the one and not the other
					b.Errorf("%.1f s (%.1f s of CPU) and %.0f MiB for %d messages; the bars are %.0f s and %.0f MiB", seconds, cpu, mib, a.Messages, maxSeconds, maxMiB)
				}
			}
			rows = append(rows, row)
		})
	}
	if *update && len(rows) == len(all) {
		publish(b, size, "| bank | CPU | peak of memory | conversations found | precision / recall |\n|---|---|---|---|---|\n"+strings.Join(rows, ""))
	}
}

const (
	childPath   = "PRUNELLA_EXTRACT_ARCHIVE"
	foundSuffix = ".found.json" // beside the archive
)

var report = regexp.MustCompile(`extracted \d+ incidents in ([\d.]+) s, ([\d.]+) s of CPU, peak ([\d.]+) MiB`)

// child extracts the archive in a process of its own. Of what it found, only
// the conversations and their messages come back.
func child(tb testing.TB, path string) (seconds, cpu, mib float64, found []thread.Extraction) {
	tb.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestExtractInAProcessOfItsOwn$", "-test.v")
	cmd.Env = append(os.Environ(), childPath+"="+path)
	out, err := cmd.CombinedOutput()
	m := report.FindSubmatch(out)
	if err != nil || m == nil {
		tb.Fatalf("extraction: %v\n%s", err, out)
	}
	seconds, _ = strconv.ParseFloat(string(m[1]), 64)
	cpu, _ = strconv.ParseFloat(string(m[2]), 64)
	mib, _ = strconv.ParseFloat(string(m[3]), 64)
	b, err := os.ReadFile(path + foundSuffix)
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(b, &found); err != nil {
		tb.Fatal(err)
	}
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
	var found []thread.Extraction
	for _, x := range result.Extractions {
		found = append(found, thread.Extraction{Channel: x.Channel, RootTS: x.RootTS, Messages: x.Messages})
	}
	b, err := json.Marshal(found)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+foundSuffix, b, 0o600); err != nil {
		t.Fatal(err)
	}
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
