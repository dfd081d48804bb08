//go:build !race

package rotation_test

const raceDetector = false
