package mcp

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// longestLine bounds a message, in bytes.
const longestLine = 4 << 20

// Lines is the transport over two streams, such as standard input and output: a
// message a line. A line that is no message is answered with an error of
// JSON-RPC 2.0, and the next one is read; the SDK's own transport would end there.
func Lines(in io.ReadCloser, out io.Writer) sdk.Transport {
	w := &writer{to: out}
	return &sdk.IOTransport{Reader: &messages{ReadCloser: in, lines: bufio.NewReaderSize(in, 64<<10), answers: w}, Writer: w, MaxLineLength: longestLine + 1}
}

// writer writes whole messages; answers come from two goroutines.
type writer struct {
	mu sync.Mutex
	to io.Writer
}

func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}

// Close leaves the stream open: it is not ours.
func (w *writer) Close() error { return nil }

// messages reads the lines that are messages.
type messages struct {
	io.ReadCloser
	lines   *bufio.Reader
	answers io.Writer
	rest    []byte // of the line that is being handed on
}

func (m *messages) Read(p []byte) (int, error) {
	for len(m.rest) == 0 {
		line, long, err := m.line()
		if err != nil && (len(line) == 0 || !errors.Is(err, io.EOF)) {
			return 0, err
		}
		if refusal := refused(line, long); refusal != nil {
			if err := m.answer(refusal); err != nil {
				return 0, err
			}
			continue
		}
		m.rest = line
	}
	n := copy(p, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}

// line reads up to the end of a line; of one that is too long, nothing is kept.
func (m *messages) line() (line []byte, long bool, err error) {
	for {
		part, err := m.lines.ReadSlice('\n')
		if long = long || len(line)+len(part) > longestLine; long {
			line = line[:0]
		} else {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			if long {
				line = append(line, '\n')
			}
			return line, long, err
		}
	}
}

// refusal is what is wrong with a line.
type refusal struct {
	Code    int    `json:"code"` // of JSON-RPC 2.0
	Message string `json:"message"`
}

// refused says why a line is no message, nil for one and for a blank line. Batches
// went out of the protocol with its revision 2025-06-18.
func refused(line []byte, long bool) *refusal {
	switch {
	case long:
		return &refusal{jsonrpc.CodeInvalidRequest, fmt.Sprintf("the message has more than %d bytes", longestLine)}
	case len(line) == 1 && line[0] == '\n' || string(line) == "\r\n":
		return nil
	case !json.Valid(line):
		return &refusal{jsonrpc.CodeParseError, "this line is not JSON; write one message a line"}
	}
	if _, err := jsonrpc.DecodeMessage(line); err != nil {
		return &refusal{jsonrpc.CodeInvalidRequest, "this is not a message of JSON-RPC 2.0: " + err.Error()}
	}
	return nil
}

func (m *messages) answer(r *refusal) error {
	b, err := json.Marshal(struct {
		Version string   `json:"jsonrpc"`
		ID      any      `json:"id"` // null: whose request it was cannot be told
		Error   *refusal `json:"error"`
	}{"2.0", nil, r})
	if err == nil {
		_, err = m.answers.Write(append(b, '\n'))
	}
	return err
}
