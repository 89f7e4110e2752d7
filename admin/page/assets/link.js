// The stream of overviews. EventSource reconnects without help when a connection
// breaks. This module also handles a stream that the gateway refuses, or that sends no
// event for a while without closing.

const streamTimeout = 4000; // milliseconds without an overview until the gateway counts as not reachable; one comes every second
const retryDelay = 3000; // milliseconds after a refusal

export class Link {
  // show is called with each overview, lost with the reason when the gateway is not
  // reachable, and loggedOut when the session has ended.
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

  // watch replaces the stream by a new one if it sends no event in time.
  watch() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.lost("");
      this.open();
    }, streamTimeout);
  }

  // refused fetches the reason why there is no stream, and tries again later.
  async refused() {
    this.close();
    this.timer = setTimeout(() => this.open(), retryDelay);
    try {
      const answer = await fetch("/api/live", { signal: AbortSignal.timeout(retryDelay) });
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
