package scenario

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"prunella"
)

// WriteJSON writes one report as one object.
func WriteJSON(w io.Writer, r prunella.Report) error { return writeJSON(w, r) }

// WriteJSONList writes reports as one list.
func WriteJSONList(w io.Writer, reports []prunella.Report) error { return writeJSON(w, reports) }

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		ID         int             `xml:"id,attr"`
		Package    string          `xml:"package,attr"`
		Name       string          `xml:"name,attr"`
		Timestamp  string          `xml:"timestamp,attr"` // UTC, without a zone, as the schema wants it
		Hostname   string          `xml:"hostname,attr"`
		Tests      int             `xml:"tests,attr"`
		Failures   int             `xml:"failures,attr"`
		Errors     int             `xml:"errors,attr"`
		Time       string          `xml:"time,attr"` // seconds
		Properties []junitProperty `xml:"properties>property"`
		Cases      []junitCase     `xml:"testcase"`
		SystemOut  string          `xml:"system-out"`
		SystemErr  string          `xml:"system-err"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Name      string        `xml:"name,attr"`
		Classname string        `xml:"classname,attr"`
		Time      string        `xml:"time,attr"`
		Error     *junitProblem `xml:"error"`
		Failure   *junitProblem `xml:"failure"`
	}
	junitProblem struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes one suite a scenario and one case a check. A scenario that
// proved nothing is one case with an error.
func WriteJUnit(w io.Writer, reports []prunella.Report) error {
	var out junitSuites
	for i, r := range reports {
		class := r.Category + "." + r.Scenario
		s := junitSuite{ID: i, Package: orElse(r.Category, "scenarios"), Name: r.Scenario, Hostname: "localhost",
			Timestamp: r.Started.UTC().Format("2006-01-02T15:04:05"), Time: seconds(r.Ended.Sub(r.Started)),
			Properties: []junitProperty{{"id", r.ID}, {"seed", strconv.FormatInt(r.Seed, 10)}, {"engine_version", r.Version}},
			SystemOut:  clean(r.Cause.Summary), SystemErr: clean(r.Error)}
		if r.Status == prunella.Errored {
			s.Errors = 1
			s.Cases = append(s.Cases, junitCase{Name: "run", Classname: class, Time: s.Time,
				Error: &junitProblem{Message: clean(r.Error), Type: string(prunella.Errored)}})
		}
		seen := map[string]int{}
		for _, c := range r.Checks {
			name := c.Name
			if seen[name]++; seen[name] > 1 {
				name = fmt.Sprintf("%s (%d)", name, seen[name])
			}
			jc := junitCase{Name: name, Classname: class, Time: "0"}
			if c.Result != prunella.Passed {
				s.Failures++
				jc.Failure = &junitProblem{Message: clean("expected " + c.Expected + ", got " + c.Actual), Type: string(c.Result), Text: clean(c.Note)}
			}
			s.Cases = append(s.Cases, jc)
		}
		s.Tests = len(s.Cases)
		out.Suites = append(out.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(out); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }

// clean drops what XML 1.0 cannot carry.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || r >= 0x20 && r != 0xFFFE && r != 0xFFFF && r != 0xFFFD {
			return r
		}
		return ' '
	}, s)
}
