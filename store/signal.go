package store

import (
	"context"
	"database/sql"
	"regexp"
	"strings"
	"time"

	"prunella"
)

// The log rings: lines kept for each service and for all together. The second
// bound holds whatever number of service names the outside invents.
const (
	RingPerService = 2_500
	RingTotal      = 25_000
	cutEvery       = 500
)

// putSignals stores signals that are not there yet.
func putSignals(ctx context.Context, tx *sql.Tx, signals []prunella.Signal) error {
	if len(signals) == 0 {
		return nil
	}
	st, err := tx.PrepareContext(ctx, `INSERT INTO signals (id, kind, service, at, doc) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING`)
	if err != nil {
		return failed("store signal", err)
	}
	defer st.Close()
	for _, sig := range signals {
		if sig.ID == "" {
			return prunella.Errorf(prunella.Invalid, "a signal without an id cannot be stored")
		}
		doc, err := encode(sig)
		if err != nil {
			return err
		}
		if _, err := st.ExecContext(ctx, sig.ID, sig.Kind, sig.Service, nanos(sig.Time), doc); err != nil {
			return failed("store signal", err)
		}
	}
	return nil
}

// link makes signals evidence of an incident and counts the ones that were not.
func link(ctx context.Context, tx *sql.Tx, id prunella.IncidentID, signals []prunella.Signal) error {
	if err := putSignals(ctx, tx, signals); err != nil {
		return err
	}
	st, err := tx.PrepareContext(ctx, `INSERT INTO links (incident, signal, at)
		SELECT id, $2, $3 FROM incidents WHERE id = $1 ON CONFLICT (incident, signal) DO NOTHING`)
	if err != nil {
		return failed("link signal", err)
	}
	defer st.Close()
	var linked int64
	for _, sig := range signals {
		res, err := st.ExecContext(ctx, id, sig.ID, nanos(sig.Time))
		if err != nil {
			return failed("link signal", err)
		}
		n, err := res.RowsAffected()
		if err != nil {
			return failed("link signal", err)
		}
		linked += n
	}
	n, err := exec(ctx, tx, "link signal", `UPDATE incidents SET signals = signals + $2 WHERE id = $1`, id, linked)
	if err == nil && n == 0 {
		return &prunella.Error{Kind: prunella.NotFound, Op: "link signal", Reason: "there is no incident " + string(id)}
	}
	return err
}

// putLogs appends to the rings the lines that are not there yet.
func (s *Store) putLogs(ctx context.Context, tx *sql.Tx, logs []prunella.Signal) error {
	if len(logs) == 0 {
		return nil
	}
	st, err := tx.PrepareContext(ctx, `INSERT INTO logs (id, service, at, body, doc) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING`)
	if err != nil {
		return failed("store log", err)
	}
	defer st.Close()
	for _, sig := range logs {
		if sig.ID == "" {
			return prunella.Errorf(prunella.Invalid, "a log line without an id cannot be stored")
		}
		doc, err := encode(sig)
		if err != nil {
			return err
		}
		if _, err := st.ExecContext(ctx, sig.ID, sig.Service, nanos(sig.Time), sig.Body, doc); err != nil {
			return failed("store log", err)
		}
	}
	return s.cutRings(ctx, tx, logs)
}

// cutRings cuts the rings back to their bounds once in cutEvery lines.
func (s *Store) cutRings(ctx context.Context, tx *sql.Tx, logs []prunella.Signal) error {
	for _, sig := range logs {
		s.grown[sig.Service] = true
	}
	if s.uncut += len(logs); s.uncut < cutEvery {
		return nil
	}
	for service := range s.grown {
		if _, err := exec(ctx, tx, "cut log ring", `DELETE FROM logs WHERE service = $1 AND n <=
			(SELECT n FROM logs WHERE service = $1 ORDER BY n DESC LIMIT 1 OFFSET $2)`, service, RingPerService); err != nil {
			return err
		}
	}
	clear(s.grown)
	s.uncut = 0
	_, err := exec(ctx, tx, "cut log ring", `DELETE FROM logs WHERE n <= (SELECT n FROM logs ORDER BY n DESC LIMIT 1 OFFSET $1)`, RingTotal)
	return err
}

// fold makes texts comparable: lower case, white space as single spaces.
func fold(s string) string { return strings.Join(strings.Fields(strings.ToLower(s)), " ") }

// Signal returns one stored signal: linked, a change, or a log line still in its ring.
func (s *Store) Signal(ctx context.Context, id prunella.SignalID) (sig prunella.Signal, err error) {
	err = one(ctx, s.read, &sig, "signal "+string(id),
		`SELECT doc FROM signals WHERE id = $1 UNION ALL SELECT doc FROM logs WHERE id = $1 LIMIT 1`, id)
	return sig, err
}

// SignalsOf returns the signals linked to an incident in the order of time, at
// most limit (0: all) from offset, and how many there are.
func (s *Store) SignalsOf(ctx context.Context, id prunella.IncidentID, limit, offset int) ([]prunella.Signal, int, error) {
	var total int
	if err := s.read.QueryRowContext(ctx, `SELECT COUNT(*) FROM links WHERE incident = $1`, id).Scan(&total); err != nil {
		return nil, 0, failed("count signals", err)
	}
	if limit <= 0 {
		limit = total
	}
	out, err := many[prunella.Signal](ctx, s.read, "signals", `SELECT s.doc FROM links l JOIN signals s ON s.id = l.signal
		WHERE l.incident = $1 ORDER BY l.at, l.signal LIMIT $2 OFFSET $3`, id, limit, max(offset, 0))
	return out, total, err
}

// Changes returns the change signals at or after since, in the order of time.
func (s *Store) Changes(ctx context.Context, since time.Time) ([]prunella.Signal, error) {
	return many[prunella.Signal](ctx, s.read, "changes", `SELECT doc FROM signals WHERE kind = $1 AND at >= $2 ORDER BY at, id`, prunella.KindChange, nanos(since))
}

// LogQuery selects log lines: those that hold any of the phrases (letter case
// and runs of white space do not count) or match the regular expression; all
// lines when neither is given.
type LogQuery struct {
	Any          []string
	Regex        string // RE2, on the verbatim body
	Since, Until time.Time
	Limit        int // of the lines returned, newest first; 0: 100
}

// LogResult is what a LogQuery found.
type LogResult struct {
	Signals []prunella.Signal // newest first, at most Limit
	Matched int               // lines that match, also beyond Limit
	Total   int               // lines in the time window
}

// SearchLogs reads the log rings. Invalid: the regular expression is none.
func (s *Store) SearchLogs(ctx context.Context, q LogQuery) (LogResult, error) {
	res := LogResult{Signals: []prunella.Signal{}}
	match, err := q.matcher()
	if err != nil {
		return res, err
	}
	if q.Limit <= 0 {
		q.Limit = 100
	}
	rows, err := s.read.QueryContext(ctx, `SELECT body, doc FROM logs WHERE at >= $1 AND ($2 = 0 OR at <= $2) ORDER BY at DESC, n DESC`,
		nanos(q.Since), nanos(q.Until))
	if err != nil {
		return res, failed("search logs", err)
	}
	defer rows.Close()
	var body, doc sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&body, &doc); err != nil {
			return res, failed("search logs", err)
		}
		res.Total++
		if !match(string(body)) {
			continue
		}
		if res.Matched++; res.Matched > q.Limit {
			continue
		}
		var sig prunella.Signal
		if err := decode(doc, &sig, "log line"); err != nil {
			return res, err
		}
		res.Signals = append(res.Signals, sig)
	}
	return res, failed("search logs", rows.Err())
}

// matcher returns the query's test of a verbatim body.
func (q LogQuery) matcher() (func(body string) bool, error) {
	var phrases []string
	for _, p := range q.Any {
		if f := fold(p); f != "" {
			phrases = append(phrases, f)
		}
	}
	if q.Regex == "" && len(phrases) == 0 {
		return func(string) bool { return true }, nil
	}
	var re *regexp.Regexp
	if q.Regex != "" {
		var err error
		if re, err = regexp.Compile(q.Regex); err != nil {
			return nil, &prunella.Error{Kind: prunella.Invalid, Op: "search logs", Where: q.Regex, Reason: "not a regular expression",
				Remedy: "write RE2 syntax, without look-around and back references", Err: err}
		}
	}
	return func(body string) bool {
		if len(phrases) > 0 {
			folded := fold(body)
			for _, p := range phrases {
				if strings.Contains(folded, p) {
					return true
				}
			}
		}
		return re != nil && re.MatchString(body)
	}, nil
}
