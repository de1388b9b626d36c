// The stream from the daemon: opens it, opens it again when it hangs, and hands on what it
// says. Decides nothing about the screen.

import { parseBoard, parseBuild, type LiveBoard } from "./model.ts";
import type { Link } from "./staleness.ts";

export interface FeedListener {
  onBoard(board: LiveBoard): void;
  onBuild(build: string): void;
  onLink(link: Link): void;
  /** The browser has given up, which it does on an HTTP refusal such as 401. */
  onRefused(): void;
}

export class Feed {
  private source: EventSource | null = null;

  constructor(
    private readonly url: string,
    private readonly listener: FeedListener,
  ) {}

  /** Opens the stream, or replaces one that may be dead without the browser knowing. */
  open(): void {
    this.source?.close();
    const source = new EventSource(this.url);
    this.source = source;
    this.listener.onLink("connecting");
    source.onopen = () => this.listener.onLink("open");
    source.onerror = () => {
      this.listener.onLink("down");
      if (source.readyState === EventSource.CLOSED) this.listener.onRefused();
    };
    source.addEventListener("tiles", (event) => {
      const board = parseBoard((event as MessageEvent<string>).data);
      if (board) this.listener.onBoard(board);
    });
    source.addEventListener("build", (event) => {
      const build = parseBuild((event as MessageEvent<string>).data);
      if (build) this.listener.onBuild(build);
    });
  }
}
