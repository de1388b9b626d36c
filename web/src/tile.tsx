// One person's tile. It is one sentence to a screen reader; what is drawn is hidden from it.

import { Component, type JSX } from "preact";
import { BatteryIcon, ClockIcon, NoContactIcon, NoSignalIcon } from "./icons.tsx";
import { sameView, type TileView } from "./tile-view.ts";
import { LEVELS } from "./zones.ts";

interface Props {
  view: TileView;
  lost: boolean;
}

const SEGMENTS = Array.from({ length: LEVELS }, (_, at) => at + 1);

export class Tile extends Component<Props> {
  override shouldComponentUpdate(next: Props): boolean {
    return next.lost !== this.props.lost || !sameView(next.view, this.props.view);
  }

  override render({ view, lost }: Props): JSX.Element {
    return (
      <li class={`tile ${view.fill}`} aria-label={view.label} data-strap={view.strap}>
        <div class="face" aria-hidden="true">
          <span class="name">
            {view.prefix && <small>{view.prefix}</small>}
            {view.name}
          </span>
          <span class="zone">{view.zone}</span>
          <span class="signs">
            {view.place && <span class="sign place">{view.place}</span>}
            {view.points && <span class="sign points">{view.points}</span>}
            {view.trouble && (
              <span class="sign trouble">
                {lost ? <NoSignalIcon /> : <NoContactIcon />}
                <span>{view.trouble}</span>
              </span>
            )}
            {view.age && (
              <span class="sign age">
                <ClockIcon />
                {view.age}
              </span>
            )}
            {view.battery && (
              <span class="sign battery">
                <BatteryIcon />
                {view.battery}
              </span>
            )}
          </span>
          <span class="bpm">{view.bpm}</span>
          <span class="percent">{view.percent}</span>
          <span class="bar">
            {SEGMENTS.map((segment) => (
              <i key={segment} class={segment <= view.level ? "on" : ""} />
            ))}
          </span>
        </div>
      </li>
    );
  }
}
