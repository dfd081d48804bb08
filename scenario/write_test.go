package scenario_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"
	"time"

	"prunella"
	"prunella/scenario"
)

func twoReports() []prunella.Report {
	at := time.Date(2031, 4, 2, 10, 0, 0, 0, time.UTC)
	failed := prunella.Report{
		ID: "test-1", Scenario: "rotation", Title: "A rotation | half done", Category: "security", Description: "Some services miss the key.",
		Status: prunella.Failed, Seed: 7, Params: map[string]string{"missed": "2"}, Started: at, Ended: at.Add(21500 * time.Millisecond), Version: "v1",
		Checks: []prunella.ReportCheck{
			{Name: "pattern", Expected: "auth/a", Actual: "auth/a", Result: prunella.Passed},
			{Name: "never", Expected: "no keys.*", Actual: "keys.retire <bad> \x00", Result: prunella.Failed, Note: "why"},
			{Name: "never", Expected: "no mutating step", Actual: "none", Result: prunella.Passed},
		},
		Conditions: []string{"seven services"}, Pattern: "auth/a", PatternConfidence: 0.9, Severity: prunella.Critical, SeverityReason: "4 of 7 are hit",
		ServicesAffected: []string{"order", "user"}, SignalsLinked: 12, Monitors: 3, Incidents: 1, Remediation: "auto-heal", Verdict: prunella.Healed,
		Injected: []prunella.InjectedMsg{{Monitor: "otlp/user", Service: "user", At: at, Text: "unknown\nkid"}},
		Faults:   []prunella.FaultRecord{{Fault: "rotate-partial-distribution", At: at, Proof: "user answered 401", Proven: true}},
		Cause: prunella.ReportCause{Service: "auth", Fault: prunella.FaultPartialKeys, Confidence: 0.95, Summary: "The key never arrived.",
			Evidence: []string{"the key changed 2 s before"}, Against: []string{"a deploy 3 h ago"}},
		Plan: []string{"sign with the old key"}, Escalations: []string{"@sam: look"},
		Steps:    []prunella.ReportStep{{Name: "sign with the old key", Action: "keys.activate", Result: "done", Started: at, Ended: at.Add(120 * time.Millisecond)}},
		Timings:  prunella.Timings{Detected: 400, Opened: 410, Diagnosed: 1200, Healed: 3600, Verified: -1},
		Requests: prunella.Requests{Total: 1400, Failed: 46},
		Timeline: []prunella.Event{{At: at, Kind: "state", Text: "opened"}},
	}
	broken := prunella.Report{ID: "test-2", Scenario: "other", Title: "Other", Category: "security", Status: prunella.Errored, Error: "no steady state", Started: at, Ended: at}
	return []prunella.Report{failed, broken}
}

func TestJUnit(t *testing.T) {
	var b bytes.Buffer
	if err := scenario.WriteJUnit(&b, twoReports()); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/junit.golden.xml", b.String())
	// The usual schema wants these counts to agree with the cases.
	var got struct {
		Suites []struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Errors   int `xml:"errors,attr"`
			Cases    []struct {
				Name    string    `xml:"name,attr"`
				Failure *struct{} `xml:"failure"`
				Error   *struct{} `xml:"error"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for _, s := range got.Suites {
		failures, errs, names := 0, 0, map[string]bool{}
		for _, c := range s.Cases {
			names[c.Name] = true
			if c.Failure != nil {
				failures++
			}
			if c.Error != nil {
				errs++
			}
		}
		if s.Tests != len(s.Cases) || s.Failures != failures || s.Errors != errs || len(names) != len(s.Cases) {
			t.Errorf("counts %+v", s)
		}
	}
	if got.Suites[0].Failures != 1 || got.Suites[1].Errors != 1 {
		t.Errorf("%+v", got.Suites)
	}
}

func TestMarkdown(t *testing.T) {
	var b bytes.Buffer
	if err := scenario.WriteMarkdown(&b, twoReports()); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/report.golden.md", b.String())
}

func TestJSONHasTheKeysOfTheContract(t *testing.T) {
	e, w := healthy(), &fakeWorld{}
	w.onInject = func(string, map[string]string) { e.set(healed(time.Now())) }
	r := scenario.Runner{World: world(w), Engine: e.start(t)}
	var b bytes.Buffer
	if err := scenario.WriteJSON(&b, r.Run(t.Context(), parse(t, rotation, nil), 1)); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for path := range strings.FieldsSeq(`scenario status seed checks.0.name checks.0.expected checks.0.actual checks.0.result pattern pattern_confidence severity
		services_affected.0 signals_linked cause.service cause.fault cause.confidence cause.evidence.0 steps.0.name steps.0.action steps.0.result steps.0.started steps.0.ended
		verdict timings_ms.detected timings_ms.opened timings_ms.diagnosed timings_ms.healed timings_ms.verified requests.total requests.failed requests.failed_after_heal
		monitors incidents engine_version`) {
		var at any = got
		for key := range strings.SplitSeq(path, ".") {
			switch v := at.(type) {
			case map[string]any:
				at = v[key]
			case []any:
				at = v[0]
			}
		}
		if at == nil {
			t.Errorf("no %s in the report", path)
		}
	}
	for key, v := range got {
		if v == nil {
			t.Errorf("%s is null, not an empty list", key)
		}
	}
}
