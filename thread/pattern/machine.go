package pattern

import (
	"encoding/binary"
	"regexp/syntax"
	"slices"
	"sync"
	"sync/atomic"
	"unicode"
	"unicode/utf8"
)

// maxStates bounds what one machine keeps: about half a kilobyte each. Past it
// the machine knows no answer, and package regexp is asked.
const maxStates = 4096

// machine is the deterministic automaton of one expression. It reads runes by
// classes: runes that no instruction of the program tells apart are one class.
// States and their transitions are made when a text first needs them.
type machine struct {
	expr string
	once sync.Once

	prog     *syntax.Prog
	anchored bool // a match can only begin where the text does
	words    bool // the program looks at word boundaries
	lines    bool // the program looks at ends of lines
	bounds   []rune
	classes  []uint16 // of bounds[i] up to bounds[i+1]
	ascii    [128]uint16
	reps     []rune // one rune of each class; the last class is the end of the text
	begin    *state
	hit      *state // a match was found
	dead     *state // none can come any more

	mu     sync.Mutex
	states map[string]*state
	seen   []uint32 // by instruction: the round in which a closure visited it
	round  uint32
	full   atomic.Bool
}

// state is the instructions that may come next, before empty-width ones are
// followed, and what stood before. Its transitions are by class.
type state struct {
	prev  rune // one of its kind: -1 at the beginning, '\n', 'a' for a letter, ' ' for others
	insts []uint32
	next  []atomic.Pointer[state]
}

// match reports whether s contains a match, and whether that is known.
func (m *machine) match(s string) (yes, known bool) {
	if m.full.Load() {
		return false, false
	}
	m.once.Do(m.build)
	at := m.begin
	for i := 0; i < len(s); {
		var class uint16
		if c := s[i]; c < utf8.RuneSelf {
			class = m.ascii[c]
			i++
		} else {
			r, n := utf8.DecodeRuneInString(s[i:])
			class = m.classOf(r)
			i += n
		}
		next := at.next[class].Load()
		if next == nil {
			if next = m.step(at, class); next == nil {
				return false, false
			}
		}
		switch at = next; at {
		case m.hit:
			return true, true
		case m.dead:
			return false, true
		}
	}
	end := uint16(len(m.reps) - 1)
	next := at.next[end].Load()
	if next == nil {
		if next = m.step(at, end); next == nil {
			return false, false
		}
	}
	return next == m.hit, true
}

func (m *machine) classOf(r rune) uint16 {
	i, found := slices.BinarySearch(m.bounds, r)
	if !found {
		i--
	}
	return m.classes[i]
}

// build compiles the program as package regexp does and divides runes into classes.
func (m *machine) build() {
	re, err := syntax.Parse(m.expr, syntax.Perl)
	if err == nil {
		m.prog, err = syntax.Compile(re.Simplify())
	}
	if err != nil { // MustCompile would have panicked
		m.full.Store(true)
		return
	}
	m.anchored = m.prog.StartCond()&syntax.EmptyBeginText != 0
	m.bounds = []rune{0, '\n', '\n' + 1, '0', '9' + 1, 'A', 'Z' + 1, '_', '_' + 1, 'a', 'z' + 1}
	var kinds []syntax.Inst // instructions that read a rune, one of each kind
	known := map[string]bool{}
	for _, in := range m.prog.Inst {
		switch in.Op {
		case syntax.InstEmptyWidth:
			op := syntax.EmptyOp(in.Arg)
			m.words = m.words || op&(syntax.EmptyWordBoundary|syntax.EmptyNoWordBoundary) != 0
			m.lines = m.lines || op&(syntax.EmptyBeginLine|syntax.EmptyEndLine) != 0
		case syntax.InstRune, syntax.InstRune1:
			if key := string(in.Rune) + string(rune(in.Arg)); !known[key] {
				known[key] = true
				kinds = append(kinds, in)
				m.divide(in)
			}
		}
	}
	slices.Sort(m.bounds)
	m.bounds = slices.Compact(m.bounds)
	m.classify(kinds)
	m.seen = make([]uint32, len(m.prog.Inst))
	m.states = map[string]*state{}
	m.hit, m.dead = &state{}, &state{}
	m.begin = m.state(-1, nil)
}

// divide adds the bounds of what an instruction reads. A single rune may stand
// for all its cases.
func (m *machine) divide(in syntax.Inst) {
	if len(in.Rune) == 1 {
		r := in.Rune[0]
		m.bounds = append(m.bounds, r, r+1)
		if syntax.Flags(in.Arg)&syntax.FoldCase != 0 {
			for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
				m.bounds = append(m.bounds, f, f+1)
			}
		}
		return
	}
	for i := 0; i+1 < len(in.Rune); i += 2 {
		m.bounds = append(m.bounds, in.Rune[i], in.Rune[i+1]+1)
	}
}

// classify gives stretches between bounds the same class when every
// instruction reads them alike.
func (m *machine) classify(kinds []syntax.Inst) {
	numbers := map[string]uint16{}
	sign := make([]byte, len(kinds)+1)
	for _, r := range m.bounds {
		sign[0] = byte(m.kindOf(r))
		for i := range kinds {
			sign[i+1] = 0
			if kinds[i].MatchRune(r) {
				sign[i+1] = 1
			}
		}
		n, ok := numbers[string(sign)]
		if !ok {
			n = uint16(len(m.reps))
			numbers[string(sign)] = n
			m.reps = append(m.reps, r)
		}
		m.classes = append(m.classes, n)
	}
	m.reps = append(m.reps, -1)
	for c := range m.ascii {
		m.ascii[c] = m.classOf(rune(c))
	}
}

// kindOf is what the program can see of a rune behind it.
func (m *machine) kindOf(r rune) rune {
	switch {
	case r == '\n': // also for InstRuneAnyNotNL, whatever the program asks of lines
		return '\n'
	case m.words && syntax.IsWordChar(r):
		return 'a'
	}
	return ' '
}

// step makes the transition of a state by a class: nil when there is no room.
func (m *machine) step(at *state, class uint16) *state {
	m.mu.Lock()
	defer m.mu.Unlock()
	if next := at.next[class].Load(); next != nil {
		return next
	}
	r := m.reps[class]
	cond := syntax.EmptyOpContext(at.prev, r)
	m.round++
	stack := slices.Clone(at.insts)
	if !m.anchored || at.prev == -1 {
		stack = append(stack, uint32(m.prog.Start))
	}
	var to []uint32
	next := m.dead
	for len(stack) > 0 {
		pc := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if m.seen[pc] == m.round {
			continue
		}
		m.seen[pc] = m.round
		in := &m.prog.Inst[pc]
		reads := false
		switch in.Op {
		case syntax.InstMatch:
			next, stack = m.hit, nil
		case syntax.InstAlt, syntax.InstAltMatch:
			stack = append(stack, in.Out, in.Arg)
		case syntax.InstCapture, syntax.InstNop:
			stack = append(stack, in.Out)
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(in.Arg)&^cond == 0 {
				stack = append(stack, in.Out)
			}
		case syntax.InstRune, syntax.InstRune1:
			reads = r >= 0 && in.MatchRune(r)
		case syntax.InstRuneAny:
			reads = r >= 0
		case syntax.InstRuneAnyNotNL:
			reads = r >= 0 && r != '\n'
		}
		if reads {
			to = append(to, in.Out)
		}
	}
	if next != m.hit && r >= 0 && (len(to) > 0 || !m.anchored) {
		prev := m.kindOf(r)
		if prev == '\n' && !m.lines {
			prev = ' '
		}
		if next = m.state(prev, to); next == nil {
			m.full.Store(true)
			return nil
		}
	}
	at.next[class].Store(next)
	return next
}

// state is the state of a set of instructions: nil when there is no room.
func (m *machine) state(prev rune, insts []uint32) *state {
	slices.Sort(insts)
	insts = slices.Compact(insts)
	key := make([]byte, 0, 1+4*len(insts))
	key = append(key, byte(prev))
	for _, pc := range insts {
		key = binary.LittleEndian.AppendUint32(key, pc)
	}
	s := m.states[string(key)]
	if s == nil {
		if len(m.states) >= maxStates {
			return nil
		}
		s = &state{prev: prev, insts: slices.Clip(insts), next: make([]atomic.Pointer[state], len(m.reps))}
		m.states[string(key)] = s
	}
	return s
}
