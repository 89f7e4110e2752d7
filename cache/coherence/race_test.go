//go:build race

package coherence

const raceDetector = true
