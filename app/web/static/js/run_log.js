// The log on the run page.

const ASK_AGAIN_MS = 2000;

/** The log, while it is open: what was written behind the last byte read. */
export function followLog(page) {
  const box = page.querySelector("[data-log]"), words = box.querySelector("pre");
  words.scrollTop = words.scrollHeight;
  box.addEventListener("toggle", async () => {
    words.scrollTop = words.scrollHeight;
    while (box.open && box.isConnected && page.dataset.live === "1") {
      const answer = await fetch(`${box.dataset.log}?after=${box.dataset.offset}`).catch(() => null);
      const { lines, offset } = answer?.ok ? await answer.json() : { lines: [], offset: box.dataset.offset };
      if (lines.length) {
        const isAtEnd = words.scrollTop + words.clientHeight >= words.scrollHeight - 4;
        words.textContent = [...words.textContent.split("\n"), ...lines].slice(-400).join("\n");
        box.dataset.offset = offset;
        if (isAtEnd) words.scrollTop = words.scrollHeight;
      }
      await new Promise((done) => setTimeout(done, ASK_AGAIN_MS));
    }
  });
}
