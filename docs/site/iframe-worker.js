// Runs the search in a hidden frame where a page was opened from a folder: browsers refuse workers to such pages.
// The frame has the names that a worker's script uses; messages are events, as between a page and a worker.
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(address) {
      super();
      const waiting = [];
      this.postMessage = (data) => waiting.push(data);
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.addEventListener("load", () => {
        const inside = frame.contentWindow;
        const send = (data) => inside.dispatchEvent(new inside.MessageEvent("message", { data }));
        const load = (script) => new Promise((done, failed) => {
          const element = inside.document.createElement("script");
          element.src = script;
          element.onload = done;
          element.onerror = failed;
          inside.document.head.append(element);
        });
        inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
        inside.importScripts = (...scripts) => scripts.reduce((before, one) => before.then(() => load(one)), Promise.resolve());
        load(address).then(() => {
          this.postMessage = send;
          waiting.forEach(send);
        });
      }, { once: true });
      frame.srcdoc = "<!doctype html><title>search</title>";
      (document.body || document.documentElement).append(frame);
    }
  };
  window.Worker = window.IFrameWorker;
}
