// Package stats sums up measurements.
package stats

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Number is what can be measured.
type Number interface {
	~int | ~int64 | ~float64
}

// Percentile returns the smallest value that at least p percent of the values do not exceed: always one that was
// measured, never one between two. It returns 0 for no values.
func Percentile[N Number](values []N, p float64) N {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.SortedFunc(slices.Values(values), cmp.Compare)
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Median is the middle value, or halfway between the two in the middle.
func Median[N Number](values []N) N {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.SortedFunc(slices.Values(values), cmp.Compare)
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return sorted[middle-1] + (sorted[middle]-sorted[middle-1])/2
}

// Ratio is a over b; 0 where there is no b.
func Ratio[N Number](a, b N) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// Each maps values.
func Each[A, B any](values []A, f func(A) B) []B {
	out := make([]B, len(values))
	for i, v := range values {
		out[i] = f(v)
	}
	return out
}

// Round shortens a duration to three digits, as far as they mean something.
func Round(d time.Duration) time.Duration {
	unit := time.Nanosecond
	for size := max(d, -d); size >= 1000; size /= 10 {
		unit *= 10
	}
	return d.Round(unit)
}
