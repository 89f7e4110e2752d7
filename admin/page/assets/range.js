// A range of time to choose: how long back from now, or from when to when, and by which period it is cut. All times are UTC, as the counts are.

const hour = 3600 * 1000;
const presets = {
  "1hour": (now) => new Date(now - 23 * hour),
  "1day": (now) => new Date(now - 30 * 24 * hour),
  "1month": (now) => new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 11, 1)),
};

// local writes an instant as the value of an <input type="datetime-local">, in UTC.
const local = (time) => time.toISOString().slice(0, 16);

export class Range {
  // change is called when another range is chosen.
  constructor(form, change) {
    this.form = form;
    this.change = change;
    this.preset("1hour");
    for (const button of form.querySelectorAll("[data-preset]")) {
      button.addEventListener("click", () => {
        this.preset(button.dataset.preset);
        change();
      });
    }
    form.elements.period.addEventListener("change", () => this.choose());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.choose();
    });
    for (const name of ["from", "to"]) form.elements[name].addEventListener("input", () => this.press(undefined)); // asked for with the button
  }

  // moves reports whether the range ends now, whenever that is.
  moves() {
    return this.chosen !== undefined;
  }

  // preset takes one of the ranges that end now, and goes on ending now.
  preset(period) {
    const { from, to } = this.form.elements;
    this.form.elements.period.value = period;
    [from.value, to.value] = [local(presets[period](new Date())), local(new Date())];
    this.press(period);
  }

  // choose takes what stands in the fields.
  choose() {
    this.press(undefined);
    this.change();
  }

  // press marks the preset that is chosen, if one is.
  press(period) {
    this.chosen = period;
    for (const button of this.form.querySelectorAll("[data-preset]")) button.setAttribute("aria-pressed", String(button.dataset.preset === this.chosen));
  }

  // query returns the range as parameters of /api/history. A field without a value is left to the server.
  query() {
    const { period, from, to } = this.form.elements;
    if (this.chosen && ![from, to].includes(document.activeElement)) this.preset(this.chosen); // what is being edited stays
    const q = { period: period.value };
    if (from.value) q.from = `${from.value}:00Z`;
    if (to.value) q.to = `${to.value}:00Z`;
    return q;
  }
}
