package mcp_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"

	"prunella/client"
	"prunella/mcp"
)

// Lines that are no messages are answered, one by one, and the server lives on.
func TestLinesThatAreNoMessages(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	in, ask := io.Pipe()
	told, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- mcp.New(mcp.Config{API: client.New("http://127.0.0.1:1"), Version: "test", Log: slog.New(slog.DiscardHandler)}).Run(ctx, mcp.Lines(in, out))
		out.Close()
	}()
	answers := bufio.NewReaderSize(told, 1<<20)
	for _, c := range []struct {
		line string
		code int
	}{
		{"{bad json", -32700},
		{"[]", -32600},
		{"5", -32600},
		{`{"id":1}`, -32600},
		{`[{"jsonrpc":"2.0","id":1,"method":"ping"}]`, -32600},
		{`{"jsonrpc":"2.0","id":1,"method":"` + strings.Repeat("x", 5<<20) + `"}`, -32600},
		{`{"jsonrpc":"2.0","id":7,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`, 0},
		{"\n{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\r\n\xff", -32700},
		{`{"jsonrpc":"2.0","id":8,"method":"ping"}`, 0},
	} {
		if _, err := io.WriteString(ask, c.line+"\n"); err != nil {
			t.Fatal(err)
		}
		line, err := answers.ReadBytes('\n')
		var got struct {
			ID     any
			Result any
			Error  struct{ Code int }
		}
		if err != nil || json.Unmarshal(line, &got) != nil || got.Error.Code != c.code || (got.ID == nil) != (c.code != 0) {
			t.Fatalf("%.60s: %.300s, %v", c.line, line, err)
		}
	}
	ask.Close()
	if err := <-ended; err != nil {
		t.Errorf("at the end of its input: %v", err)
	}
	stop()
}
