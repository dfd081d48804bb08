// Package heal decides what may be done about a cause, and whether it worked.
// It is pure: it reads what it is given, takes now, and changes nothing.
//
//   - Plan renders a skill's actions, or the generic remedy when no skill fits,
//     into the exact steps that would run. Steps are rendered once; an approval
//     binds to their hash.
//   - Allow is the safety policy: unattended, after an approval, as advice only,
//     or not at all, with every gate that was asked and its operands.
//   - Verify reads what the world said since the last change and answers healed,
//     not healed, unknown, or not yet. Missing data never passes.
//
// Executing steps is the engine's business; what a step can do to the world is
// package action's.
package heal
