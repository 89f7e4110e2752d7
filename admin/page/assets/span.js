// The time that charts show: the last seconds, or a stretch that a reader has selected
// by dragging across a chart.

export class Span {
  // change is called when another time is selected.
  constructor(seconds, change = () => {}) {
    Object.assign(this, { seconds, change, from: null, to: null });
  }

  // range returns the shown time if the newest value is of end.
  range(end) {
    return this.from === null ? [end - this.seconds, end] : [this.from, this.to];
  }

  last(seconds) {
    Object.assign(this, { seconds, from: null, to: null });
    this.change();
  }

  between(from, to) {
    Object.assign(this, { from, to });
    this.change();
  }
}
