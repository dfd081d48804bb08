package bus

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"prunella"
)

// A message is a JSON list of signals, compressed when it is longer than
// compressFrom; gzip's magic bytes tell. maxPlain bounds it before compression,
// so that reading one never takes more memory than that.
const (
	compressFrom = 2 << 10
	maxPlain     = 32 << 20
)

var writers = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return w
}}

// encode returns signals as messages of at most limit bytes, halving the batch
// until each part fits.
func encode(signals []prunella.Signal, limit int) ([][]byte, error) {
	plain, err := json.Marshal(signals)
	if err != nil {
		return nil, prunella.Errorf(prunella.Invalid, "signals cannot be stored: %w", err)
	}
	data := plain
	if len(plain) > compressFrom && len(plain) <= maxPlain {
		if data, err = compress(plain); err != nil {
			return nil, err
		}
	}
	if len(plain) <= maxPlain && len(data) <= limit {
		return [][]byte{data}, nil
	}
	if len(signals) == 1 {
		return nil, &prunella.Error{Kind: prunella.TooLarge, Op: "store signals",
			Reason: fmt.Sprintf("one signal of %s takes %d bytes, a message holds %d", signals[0].Source, len(data), limit)}
	}
	half := len(signals) / 2
	first, err := encode(signals[:half], limit)
	if err != nil {
		return nil, err
	}
	second, err := encode(signals[half:], limit)
	return append(first, second...), err
}

func compress(plain []byte) ([]byte, error) {
	var buf bytes.Buffer
	w := writers.Get().(*gzip.Writer)
	defer writers.Put(w)
	w.Reset(&buf)
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("compress signals: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress signals: %w", err)
	}
	return buf.Bytes(), nil
}

func decode(data []byte) (signals []prunella.Signal, err error) {
	if len(data) > 2 && data[0] == 0x1f && data[1] == 0x8b {
		r, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		if data, err = io.ReadAll(io.LimitReader(r, maxPlain+1)); err != nil {
			return nil, err
		}
		if len(data) > maxPlain {
			return nil, fmt.Errorf("longer than %d bytes", maxPlain)
		}
	}
	err = json.Unmarshal(data, &signals)
	return signals, err
}
