package condition_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"prunella"
	"prunella/condition"
)

func Example() {
	p, err := condition.Compile("known && value > 5.0 * baseline", condition.SignalMetric)
	if err != nil {
		panic(err)
	}
	hold, err := p.Eval(map[string]any{"known": true, "value": 12, "baseline": 0.5})
	fmt.Println(hold, err, p.Variables())
	// Output: true <nil> [baseline known value]
}

func TestEval(t *testing.T) {
	result := map[string]any{
		"count": 3, "down": false, "kids": []string{"a", "b"},
		"services": []any{map[string]any{"name": "user"}, map[string]any{"name": "order"}},
		"errors":   map[string]string{"user": "connection refused"},
		"huge":     json.Number("12"),
	}
	for _, c := range []struct {
		expr  string
		scope condition.Scope
		want  bool
	}{
		{"result.count > 2", condition.Check, true},
		{"result.count == 3", condition.Check, true},
		{"result.count / 2.0 == 1.5", condition.Check, true},
		{"size(result.kids) == 2 && 'a' in result.kids", condition.Check, true},
		{"result.down", condition.Check, false},
		{"!has(result.nothing)", condition.Check, true},
		{"result.services.exists(s, s.name == 'user')", condition.Check, true},
		{"result.services.filter(s, s.name.startsWith('o')).size() == 2", condition.Check, false},
		{"result.services.all(s, size(s.name) > 3)", condition.Check, true},
		{"result.errors.user.matches('(?i)REFUSED')", condition.Check, true},
		{"result.huge > 11", condition.Check, true},
		{"verdict == 'not-healed' && state == \"escalated\"", condition.Escalate, true},
		{"count > 3", condition.SignalText, true},
		{"now > 1.0", condition.Plan, true},
		{"size([1, 2]) * 2 == 4", condition.Check, true},
	} {
		p, err := condition.Compile(c.expr, c.scope)
		if err != nil {
			t.Errorf("compile: %v", err)
			continue
		}
		got, err := p.Eval(map[string]any{
			"result": result, "incident": prunella.Incident{}, "cause": nil, "checks": nil, "now": int64(1700000000),
			"verdict": prunella.NotHealed, "state": prunella.Escalated, "count": uint8(4), "services": 1.0, "share": float32(0.5),
		})
		if err != nil || got != c.want {
			t.Errorf("%s: got %v, %v, want %v", c.expr, got, err, c.want)
		}
	}
}

func TestStructsAreSeenAsTheirJSON(t *testing.T) {
	p, err := condition.Compile("incident.severity == 'critical' && incident.impact.exists(i, i.service == 'user' && i.share > 0.9)", condition.Escalate)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Eval(map[string]any{"incident": prunella.Incident{
		Severity: prunella.Critical, Impact: []prunella.Impact{{Service: "user", Share: 1}},
	}})
	if err != nil || !got {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestCompileErrorsSayWhatToWrite(t *testing.T) {
	for _, c := range []struct {
		expr   string
		column int
		says   string
	}{
		{"value > 5 * baseline", 11, "write 5.0 * baseline, not 5 * baseline"},
		{"value > baseline * 5", 18, "write baseline * 5.0, not baseline * 5"},
		{"valeu > 3.0", 1, "did you mean value?"},
		{"zebra > 3.0", 1, "write one of baseline, known"},
		{"value = 3.0", 7, "write == to compare"},
		{"value > 3.0 and known", 13, "write &&"},
		{"value > 3.0 or known", 13, "write ||"},
		{"not known", 5, "write !"},
		{"value > 3.0 & known", 13, "write &&"},
		{"value >", 8, "ends too early"},
		{"value > 5%", 11, "0.05 for 5 %"},
		{"value", 1, "not true or false"},
		{"", 1, "the condition is empty"},
		{"'abc", 1, "the text is not closed"},
		{"value.x > 1.0", 6, "has no fields"},
		{"!value", 1, "needs true or false"},
		{"known == 'a'", 7, "put text in quotes"},
		{strings.Repeat("(", 200) + "known" + strings.Repeat(")", 200), 0, "nested deeper"},
		{"known || " + strings.Repeat("x", 5000), 0, "longer than 4000"},
	} {
		_, err := condition.Compile(c.expr, condition.SignalMetric)
		if err == nil {
			t.Errorf("%q compiles", c.expr)
			continue
		}
		if _, column := condition.At(err); c.column > 0 && column != c.column {
			t.Errorf("%q: column %d, want %d", c.expr, column, c.column)
		}
		if !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.60q: %.300v\nwant: %s", c.expr, err, c.says)
		}
		if prunella.KindOf(err) != prunella.Invalid {
			t.Errorf("%.60q: kind %s", c.expr, prunella.KindOf(err))
		}
	}
}

func TestWholeNumbersInArithmeticOfUntypedValues(t *testing.T) {
	_, err := condition.Compile("result.count * 2 > 4", condition.Check)
	var syntax *condition.SyntaxError
	if !errors.As(err, &syntax) || syntax.Remedy != "write 2.0 instead of 2" || syntax.Column != 16 {
		t.Errorf("got %v", err)
	}
}

func TestBadRegexIsFoundWhenCompiled(t *testing.T) {
	if _, err := condition.Compile("verdict.matches('[')", condition.Escalate); err == nil {
		t.Error("compiles")
	}
}

func TestEvalErrors(t *testing.T) {
	big := make([]any, 3000)
	for i := range big {
		big[i] = float64(i)
	}
	for _, c := range []struct {
		expr string
		vars map[string]any
		says string
	}{
		{"result.count > 1", map[string]any{}, "the variable result has no value"},
		{"false && result.count > 1", map[string]any{}, "the variable result has no value"},
		{"result.count > 1", map[string]any{"result": map[string]any{}}, "guard it: has(x.count)"},
		{"result.count", map[string]any{"result": map[string]any{"count": 1}}, "not true or false"},
		{"result.a + result.b > 1", map[string]any{"result": map[string]any{"a": "x", "b": 2}}, "wrong type"},
		{"result.all(x, result.all(y, x >= 0.0))", map[string]any{"result": big}, "too expensive"},
		{"result == 1", map[string]any{"result": make(chan int)}, "has no JSON form"},
	} {
		p, err := condition.Compile(c.expr, condition.Check)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Eval(c.vars); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want: %s", c.expr, err, c.says)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{"value > 5.0 * baseline", "a.b.c", "[1].exists(x, x > 0)", "'é' == \"\\u00e9\"", "value\n>\n5 * baseline"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		p, err := condition.Compile(expr, condition.SignalMetric)
		if err != nil {
			if line, column := condition.At(err); line < 1 || column < 1 {
				t.Errorf("%q: line %d column %d", expr, line, column)
			}
			return
		}
		// Evaluation may fail but must return.
		_, _ = p.Eval(map[string]any{"value": 1.0, "baseline": 2.0, "ratio": 0.5, "share": 0.1, "services": 1.0, "known": true, "sustained_s": 1.0, "onset_s": 1.0})
	})
}
