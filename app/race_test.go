//go:build race

package app

// underRace says that everything takes about ten times as long.
const underRace = true
