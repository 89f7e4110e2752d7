// The selection of a time range: up to now, or between two dates, and the period of its
// buckets. All times are UTC, as the counts are.

const hour = 3600 * 1000;
const presets = {
  "1hour": (now) => new Date(now - 23 * hour),
  "1day": (now) => new Date(now - 30 * 24 * hour),
  "1month": (now) => new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 11, 1)),
};

// local formats an instant as the value of an <input type="datetime-local">, in UTC.
const local = (time) => time.toISOString().slice(0, 16);

export class Range {
  // change is called when another range is selected.
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
    for (const name of ["from", "to"]) form.elements[name].addEventListener("input", () => this.press(undefined)); // applied by the button
  }

  // moves reports whether the end of the range is the present.
  moves() {
    return this.chosen !== undefined;
  }

  // preset selects one of the ranges that end now. Its end moves with the time.
  preset(period) {
    const { from, to } = this.form.elements;
    this.form.elements.period.value = period;
    [from.value, to.value] = [local(presets[period](new Date())), local(new Date())];
    this.press(period);
  }

  // between selects the range between two times in seconds since 1970.
  between(from, to) {
    const { elements } = this.form;
    [elements.from.value, elements.to.value] = [from, to].map((time) => local(new Date(Math.round(time / 60) * 60000)));
    this.choose();
  }

  // choose selects the range of the form's fields.
  choose() {
    this.press(undefined);
    this.change();
  }

  // press marks the selected preset, if there is one.
  press(period) {
    this.chosen = period;
    for (const button of this.form.querySelectorAll("[data-preset]")) button.setAttribute("aria-pressed", String(button.dataset.preset === this.chosen));
  }

  // query returns the range as parameters of /api/history. The server has a default for
  // an empty field.
  query() {
    const { period, from, to } = this.form.elements;
    if (this.chosen && ![from, to].includes(document.activeElement)) this.preset(this.chosen); // do not overwrite a field that is being edited
    const q = { period: period.value };
    if (from.value) q.from = `${from.value}:00Z`;
    if (to.value) q.to = `${to.value}:00Z`;
    return q;
  }
}
