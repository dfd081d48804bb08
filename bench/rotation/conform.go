package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"prunella/bench/rotation/contest"
)

// conform runs the conformance suite against somebody's client.
func conform(ctx context.Context, o options, out io.Writer, say func(string)) error {
	o.suite.Progress, o.suite.Fast = say, o.fast
	outcomes, err := o.suite.Conform(ctx, o.client)
	if err != nil {
		return err
	}
	failed := false
	counts := map[string]int{}
	for _, c := range outcomes {
		counts[c.Result]++
		failed = failed || (c.Result == contest.Fail && c.Level == contest.Must)
	}
	if o.json {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		err = e.Encode(map[string]any{"client": o.client, "passed": !failed, "counts": counts, "cases": outcomes})
	} else {
		_, err = io.WriteString(out, outcomeTable(outcomes))
	}
	if err != nil {
		return err
	}
	say(fmt.Sprintf("%d pass, %d fail, %d not measured", counts[contest.Pass], counts[contest.Fail], counts[contest.NotMeasured]))
	if failed {
		return errFailed
	}
	return nil
}

func outcomeTable(outcomes []contest.Outcome) string {
	var b strings.Builder
	b.WriteString("| case | | the client … | why | result |\n|---|---|---|---|---|\n")
	for _, o := range outcomes {
		result := o.Result
		if o.Detail != "" {
			result += ": " + strings.ReplaceAll(o.Detail, "|", "/")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", o.ID, o.Level, o.Holds, o.Why, result)
	}
	return b.String()
}
