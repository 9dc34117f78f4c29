package audit

import "math"

// Confidence is how sure AtLeast is.
const Confidence = 0.95

// AtLeast is a share of which broken breaks in so many checks make sure, with Confidence, that
// promises are kept at least as often: 0 without checks, for nothing is known then.
//
// It is the exact bound of Clopper and Pearson (1934), from one side: the smallest share for
// which that few breaks are still as likely as 1 - Confidence. With none it is
// (1-Confidence)^(1/checks), about 1 - 3/checks: the rule of three. It takes checks for
// independent of each other, which those of one key within a moment are not quite.
func AtLeast(checks, broken int64) float64 {
	if checks <= 0 || broken >= checks {
		return 0
	}
	if broken <= 0 {
		return math.Pow(1-Confidence, 1/float64(checks))
	}
	// The chance of so few breaks falls as they get likelier. Bisect: a float64 has 53 bits,
	// and shares of a millionth and less are what it is about.
	least, most := float64(broken)/float64(checks), 1.0
	for range 100 {
		share := (least + most) / 2
		if fewBreaks(checks, broken, share) > 1-Confidence {
			least = share
		} else {
			most = share
		}
	}
	return 1 - most
}

// fewBreaks is the chance of at most broken breaks in checks, of which each breaks with the
// chance of share, which is more than broken of checks. So that number is the likeliest of
// those that count, and fewer are less and less likely: few need to be added up.
func fewBreaks(checks, broken int64, share float64) float64 {
	if share >= 1 {
		return 0
	}
	n, k := float64(checks), float64(broken)
	one := math.Exp(lnChoose(n, k) + k*math.Log(share) + (n-k)*math.Log1p(-share))
	sum := one
	for ; k > 0 && one > sum*1e-17; k-- {
		one *= k / (n - k + 1) * (1 - share) / share
		sum += one
	}
	return sum
}

// lnChoose is the logarithm of how many ways there are to choose k of n.
func lnChoose(n, k float64) float64 {
	all, _ := math.Lgamma(n + 1)
	some, _ := math.Lgamma(k + 1)
	rest, _ := math.Lgamma(n - k + 1)
	return all - some - rest
}
