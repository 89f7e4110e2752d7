package seal

import "time"

// MaxSkew is the largest difference between the clocks of two processes at which one
// still accepts the records that the other has issued.
const MaxSkew = time.Minute

// Issue holds when a record was issued and how long it counts. It is stored inside the
// sealed or authenticated text, so that a record also ages when it is copied, kept
// beyond its end, or put back after it was deleted.
//
// The age is measured by the clock of the shared place (Redis), because the clocks of
// processes may differ. The clocks of the processes bound that age: if the clock of the
// place stands still or goes backwards, a record is at most MaxSkew older than it
// appears.
type Issue struct {
	Placed time.Time     // when it was issued, by the clock of the place
	Made   time.Time     // when it was issued, by the clock of the process that made it
	Life   time.Duration // how long it counts from then on
}

// Age returns the age of the record, or a slightly larger value, when the clock of the
// place shows place and the clock of this process shows own. ok is false if the record
// has expired, or if either clock shows that it was issued in the future.
func (i Issue) Age(place, own time.Time) (age time.Duration, ok bool) {
	byPlace, byOwn := place.Sub(i.Placed), own.Sub(i.Made)
	age = max(byPlace, byOwn-MaxSkew)
	return age, byPlace >= 0 && byOwn >= -MaxSkew && age < i.Life
}
