// What the page knows, and what it was asked to show.

export const STATES = ["active", "pending", "conflict", "refused", "withdrawn", "reserved"];

export const view = {
  asked: { text: "", state: "", first: 0 },   // which mappings
  status: null, page: null, troubled: [], traffic: null, counted: true,   // as it was told last
  points: [], traces: new Map(),   // the last minutes: of all, and by mapping
  before: null,   // which mappings were there at the last picture
  since: 0,       // when the edge looked last, by its own clock
  skew: 0,        // seconds that its clock is before ours
  pause: 2,       // seconds between its looks
};

export const now = () => Date.now() / 1000 + view.skew;   // by the edge's clock

// Nothing of the edge stays with who is logged in no more.
export function forget() {
  Object.assign(view, {
    status: null, page: null, troubled: [], traffic: null, points: [], traces: new Map(),
    before: null, since: 0,
  });
}
