package client

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"prunella"
)

// Events calls on for each change that the server announces, until on returns
// an error, which Events returns, or ctx is done, when Events returns ctx.Err().
// A stream that ends otherwise is prunella.Unavailable: changes may have been
// missed, so read again what matters before listening anew.
func (c *Client) Events(ctx context.Context, on func(Change) error) error {
	resp, err := c.send(ctx, http.MethodGet, "/api/v1/events", nil, nil)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	event := ""
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			event = value
		case "data":
			if event != "changed" {
				continue
			}
			var ch Change
			if err := json.Unmarshal([]byte(value), &ch); err != nil {
				return &prunella.Error{Kind: prunella.Internal, Op: "read events", Where: c.base, Reason: "an event is not the JSON expected", Err: err}
			}
			if err := on(ch); err != nil {
				return err
			}
		case "":
			event = ""
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &prunella.Error{Kind: prunella.Unavailable, Op: "read events", Where: c.base, Reason: "the stream of events ended", Err: lines.Err()}
}
