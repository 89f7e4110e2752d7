// The stream of overviews. EventSource connects again by itself where the connection breaks; where the gateway refuses the stream, or says nothing
// for a while without closing, that is done here.

const silence = 4000; // so long without an overview, and the gateway counts as not reachable; there is one every second
const again = 3000; // after a refusal

export class Link {
  // The functions are called with each overview; with the reason when the gateway is lost; and when the session is over.
  constructor({ show, lost, loggedOut }) {
    Object.assign(this, { show, lost, loggedOut });
  }

  open() {
    this.close();
    this.source = new EventSource("/api/live");
    this.source.addEventListener("overview", (event) => {
      this.watch();
      this.show(JSON.parse(event.data));
    });
    this.source.addEventListener("error", () => {
      if (this.source?.readyState === EventSource.CLOSED) this.refused();
    });
    this.watch();
  }

  close() {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.source?.close();
    this.source = undefined;
  }

  // watch gives up a stream that says nothing, and opens another one.
  watch() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.lost("");
      this.open();
    }, silence);
  }

  // refused asks why there is no stream, and tries again later.
  async refused() {
    this.close();
    this.timer = setTimeout(() => this.open(), again);
    try {
      const answer = await fetch("/api/live", { signal: AbortSignal.timeout(again) });
      const { ok, status } = answer;
      if (status === 401) return this.loggedOut();
      if (ok) return answer.body.cancel();
      const problem = await answer.json().catch(() => ({}));
      if (!this.timer) return; // closed meanwhile
      this.lost(problem.detail ? `The gateway answers ${status}, ${problem.detail}` : `The gateway answers ${status}`);
    } catch {
      this.lost("");
    }
  }
}
