package seal

import "time"

// MaxSkew is by how much the clocks of two processes may differ before one refuses
// what the other has issued.
const MaxSkew = time.Minute

// Issue says when a record was issued and how long it counts. It belongs inside what is
// sealed or authenticated: a record that is copied, that is kept beyond its end or that
// is put back after it was deleted then ages all the same.
//
// Its age goes by the clock of the place where it lies, since the clocks of processes
// need not agree. The clocks of the processes bound that age: a place whose clock stands
// still or goes backwards makes no record younger than MaxSkew allows.
type Issue struct {
	Placed time.Time     // when it was issued, by the clock of the place
	Made   time.Time     // when it was issued, by the clock of the process that made it
	Life   time.Duration // how long it counts from then on
}

// Age returns the age of the record, or somewhat more, at the moment when the clock of
// the place shows place and the clock of this process shows own. It is not ok if the
// record is over, or was issued in the future by either clock.
func (i Issue) Age(place, own time.Time) (age time.Duration, ok bool) {
	byPlace, byOwn := place.Sub(i.Placed), own.Sub(i.Made)
	age = max(byPlace, byOwn-MaxSkew)
	return age, byPlace >= 0 && byOwn >= -MaxSkew && age < i.Life
}
