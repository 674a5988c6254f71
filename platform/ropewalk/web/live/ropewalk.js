/**
 * Channels and operations of a Ropewalk daemon, for pages in a browser.
 *
 *     import { Ropewalk } from "/ropewalk.js";
 *     const rope = new Ropewalk();
 *     rope.subscribe("rooms.lobby", (said) => console.log(said.body));
 *     await rope.publish("rooms.lobby", { text: "hello" });
 *     console.log(await rope.call("chat.say", { room: "lobby", text: "hi" }));
 *
 * What is lost is taken up again: after a while that grows and is never the same for all
 * who have lost one daemon, behind the last message that was heard, without a gap and
 * without hearing anything twice. It talks by WebSocket; where that is not let through,
 * it hears a stream of events, or asks again and again.
 *
 * By WebSocket a page can offer operations, too, as long as it is there:
 *
 *     rope.offer("lamp.switch", async ({ on }) => lamp.turn(on));
 */

/**
 * @typedef {object} Said  A message.
 * @property {string} channel
 * @property {number} sequence  Its place in the channel.
 * @property {number} at  When it was published, in seconds since the epoch.
 * @property {string} token  What to come back with, to hear what came after it.
 * @property {any} body
 */

/**
 * @typedef {object} Present  Somebody in a channel.
 * @property {string} who
 * @property {number} since  In seconds since the epoch.
 * @property {any} data
 */

/**
 * @typedef {object} Listening  What may be said of a subscription.
 * @property {string} [who]  A name to be present under.
 * @property {object} [data]  What others are to see of it.
 * @property {string} [after]  The token of the last message that is known already.
 * @property {boolean} [kept]  Hear first what is kept, where there is no such token: all
 *     of it, or by asking again and again the last 1000. A pattern cannot. The token ""
 *     says the same.
 * @property {(someone: Present) => void} [joined]  Told of those who come,
 * @property {(someone: Present) => void} [left]  and go. Asking again and again does not.
 * @property {() => void} [gap]  Told when the history does not reach back to what was
 *     heard last: what comes next is what is kept.
 * @property {(error: Refused) => void} [refused]  Told when one may not subscribe.
 */

/**
 * @typedef {object} Asking  What a function that is offered is given beside parameters.
 * @property {(value: any) => void} progress  Tells who has called how far it is. What
 *     comes faster than the daemon reads is dropped.
 * @property {AbortSignal} signal  Aborted when nobody waits for the answer any more.
 */

/**
 * @typedef {object} Offering  What may be said of an offer.
 * @property {"single"|"first"|"round-robin"} [routing]  Who is asked where several offer
 *     it: there is one and no other; the one who has for longest; one after the other.
 * @property {string} [requires]  What it takes to call it; nothing, if it is not said.
 * @property {number} [running]  How many calls may run at once: 32. Who calls meanwhile
 *     hears 503.
 * @property {(error: Refused) => void} [refused]  Told why it is not offered. If it may
 *     not be, that is the end of the offer. If it cannot be now, as by events, it is tried
 *     again: `offer.stands` says so.
 */

/**
 * @typedef {object} Options
 * @property {string} [live]  Where WebSockets are: "/live".
 * @property {string} [channels]  Where channels are by HTTP: "/channels".
 * @property {string} [operations]  Where operations are by HTTP: "/operations".
 * @property {("websocket"|"events"|"poll")[]} [ways]  What to try, the best first.
 * @property {number} [deadline]  Seconds that a call may take; 30.
 * @property {number} [most]  How many calls may wait for a connection; 100.
 * @property {number} [pause]  Seconds before the first new attempt; 0.5. Each one that
 *     fails doubles it, up to a minute.
 * @property {number} [silence]  Seconds without a sign of life after which a connection
 *     is doubted; 40. A stream of events has one every 15; who asks again and again has
 *     the daemon answer after five eighths of it.
 * @property {number} [answer]  Seconds that the daemon has to open a connection, or to
 *     answer whether it is there; 10.
 */

/** What the daemon does not want to do, or could not. */
export class Refused extends Error {
  /**
   * @param {string} message
   * @param {number} status  The HTTP status that says the same; 0 when it did not answer.
   * @param {{path: string, problem: string}[]} faults  What is wrong with which argument.
   * @param {number} seconds  After how many it may be another answer; 0 where that is not
   *     said.
   */
  constructor(message, status = 0, faults = [], seconds = 0) {
    super(message);
    this.name = "Refused";
    this.status = status;
    this.faults = faults;
    this.seconds = seconds;
  }
}

const LONGEST_PAUSE = 60;
const LONGEST_WAIT = 3600; // seconds, where the daemon says how many
const POLL = 5 / 8; // of the silence is what the daemon may wait for something new
const MOST = 1000; // messages that it tells in one answer
const PATIENCE = 2; // attempts before the next way is tried
const ROOM = 256 * 1024; // bytes that wait to be read before progress is dropped
const JSON_TYPE = "application/json";
const NOT_HERE = 501; // what a way cannot do (RFC 9110, section 15.6.2)
const TAKEN = 409; // somebody else offers it
const NOBODY = [502, 503, 504]; // what a proxy answers when nobody is behind it
const PASSING = [408, 425, 429]; // what may be otherwise in a while, as whatever is above 499

/** One daemon. */
export class Ropewalk extends EventTarget {
  /**
   * @param {Options} [options]
   */
  constructor(options = {}) {
    super();
    /** @type {Required<Options>} */
    this.options = {
      live: "/live",
      channels: "/channels",
      operations: "/operations",
      ways: ["websocket", "events", "poll"],
      deadline: 30,
      most: 100,
      pause: 0.5,
      silence: 40,
      answer: 10,
      ...options,
    };
    /** Whether it talks to the daemon: "connecting", "open" or "closed". A "state" event
     *  tells that it has changed. */
    this.state = "connecting";
    /** Why it does not, where the daemon has said so: "shutting down". */
    this.reason = "";
    /** @type {Map<string, Subscription>} */
    this._subscriptions = new Map();
    /** @type {Map<string, Offer>} */
    this._offers = new Map();
    /** @type {Set<Call>} */
    this._calls = new Set();
    this._number = 0;
    this._ways = [...this.options.ways];
    this._failures = this._attempts = 0;
    this._connect();
  }

  /** By what it talks: "websocket", "events" or "poll". */
  get way() {
    return this._ways[0];
  }

  /**
   * Hear a channel.
   *
   * @param {string} channel
   * @param {(said: Said) => void} heard  Told each message, once and in order.
   * @param {Listening} [listening]
   * @returns {Subscription}
   */
  subscribe(channel, heard, listening = {}) {
    if (this._subscriptions.has(channel)) {
      throw new Error(`${channel} is subscribed to already`);
    }
    if (listening.kept && channel.includes("*")) {
      throw new Error(`${channel}: what is kept is of one channel, and these are many`);
    }
    const subscription = new Subscription(this, channel, heard, listening);
    this._subscriptions.set(channel, subscription);
    this._way.subscribe(subscription);
    return subscription;
  }

  /**
   * Publish into a channel. Without a connection it waits for one. What JSON cannot say
   * is a TypeError.
   *
   * @param {string} channel
   * @param {any} [body]  Null, where there is none.
   * @returns {Promise<Said>}
   */
  publish(channel, body = null) {
    return this._ask("rpc.publish", { channel, body }, this.options.deadline);
  }

  /**
   * Who is in a channel.
   *
   * @param {string} channel
   * @returns {Promise<{people: Present[], subscriptions: number}>}
   */
  present(channel) {
    return this._ask("rpc.present", { channel }, this.options.deadline);
  }

  /**
   * Call an operation. Without a connection it waits for one. What was under way when
   * one was lost is refused with status 0: nobody knows whether it was done.
   *
   * @param {string} name
   * @param {object} [parameters]
   * @param {{deadline?: number, progress?: (value: any) => void}} [how]  Seconds that it
   *     may take; what is told of progressive results (by WebSocket alone).
   * @returns {Promise<any>}
   */
  call(name, parameters = {}, { deadline = this.options.deadline, progress } = {}) {
    return this._ask(name, parameters, deadline, progress);
  }

  /**
   * Offer an operation, until the offer is stopped or the page goes; after each loss
   * anew.
   *
   * @param {string} name  Two words with a dot between them: "lamp.switch".
   * @param {(parameters: any, asking: Asking) => any} answer  What does it: plain or
   *     async. It is called with the parameters, and what it returns is the answer. A
   *     `Refused` that it throws is told to who has called; anything else is the page's
   *     fault, and they hear that something went wrong.
   * @param {Offering} [terms]
   * @returns {Offer}
   */
  offer(name, answer, terms = {}) {
    if (this.state === "closed") throw new Refused("closed");
    if (this._offers.has(name)) throw new Error(`${name} is offered already`);
    if (terms.running !== undefined && !(terms.running >= 1)) {
      throw new Error(`running is 1 or more, not ${terms.running}`);
    }
    if (!this.options.ways.includes("websocket")) {
      const told = this.options.ways.join(" and ");
      throw new Error(`nothing can be offered by ${told}: have ${name} offered by websocket`);
    }
    const offer = new Offer(this, name, answer, terms);
    this._offers.set(name, offer);
    this._way.offer(offer);
    return offer;
  }

  /** Leave, for good. */
  close() {
    clearTimeout(this._timer);
    this._become("closed");
    this._way.stop();
    for (const call of this._calls) call.refuse(new Refused("closed"));
    for (const offer of [...this._offers.values()]) offer._end(new Refused("closed"));
    this._subscriptions.clear();
  }

  // What the ways call.

  /** What is heard by this way gets through, if slowly: it is no failure. */
  _proved() {
    this._failures = this._attempts = 0;
  }

  _opened() {
    this._proved();
    this.reason = "";
    this._become("open");
    for (const call of this._calls) {
      if (!call.sent) this._send(call);
    }
  }

  /**
   * @param {boolean} was_open
   * @param {string} [reason]
   * @param {number} [least]  Seconds that the daemon wants to be left alone.
   */
  async _lost(was_open, reason = "", least = 0) {
    if (this.state === "closed") return;
    if (was_open || reason) this.reason = reason;
    this._way.stop();
    for (const offer of this._offers.values()) offer.offered = false;
    for (const call of this._calls) {
      if (call.sent) call.refuse(new Refused("the connection was lost"));
    }
    this._become("connecting");
    this._attempts += 1;
    if (was_open) {
      // What was in the way of the best one may be gone.
      this._ways = [...this.options.ways];
      this._failures = 0;
    } else if (await this._answers()) {
      this._blame();
    }
    if (this.state === "closed") return;
    const pause = this._pause(this._attempts, least);
    this._timer = setTimeout(() => this._connect(), 1000 * pause);
  }

  /**
   * Seconds to wait.
   *
   * @param {number} failures  After how many, 1 or more.
   * @param {number} least  As many as the daemon says.
   * @returns {number}
   */
  _pause(failures, least) {
    const chance = Math.random();
    const pause = Math.min(this.options.pause * 2 ** (failures - 1), LONGEST_PAUSE);
    // Who was told so is not alone, perhaps.
    const told = Math.min(least, LONGEST_WAIT) * (1 + chance / 2);
    return Math.max(pause * (0.5 + chance / 2), told);
  }

  /** A way does not open although somebody is there. */
  _blame() {
    this._failures += 1;
    if (this._failures < PATIENCE) return;
    this._ways.push(this._ways.shift());
    this._failures = 0;
  }

  /**
   * Whether anybody is there. It does not matter what is answered, nor whether a page
   * from elsewhere may read it.
   *
   * @returns {Promise<boolean>}
   */
  async _answers() {
    const { channels, answer } = this.options;
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), 1000 * answer);
    const how = { method: "HEAD", mode: "no-cors", cache: "no-store" };
    try {
      const { status } = await fetch(channels, { ...how, signal: controller.signal });
      return !NOBODY.includes(status);
    } catch {
      return false;
    } finally {
      clearTimeout(timer);
    }
  }

  _connect() {
    const Way = { websocket: ByWebSocket, events: ByEvents, poll: ByPolling }[this.way];
    this._way = new Way(this);
    this._way.start();
  }

  /** @param {string} state */
  _become(state) {
    if (state === this.state || this.state === "closed") return;
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }

  /**
   * @param {string} method
   * @param {object} params
   * @param {number} deadline
   * @param {(value: any) => void} [progress]
   * @returns {Promise<any>}
   */
  _ask(method, params, deadline, progress) {
    if (this.state === "closed") return Promise.reject(new Refused("closed"));
    const waiting = [...this._calls].filter((call) => !call.sent).length;
    if (this.state !== "open" && waiting >= this.options.most) {
      return Promise.reject(new Refused(`${waiting} calls wait for a connection already`));
    }
    return new Promise((resolve, reject) => {
      const call = new Call(++this._number, method, asItIs(params), progress);
      const end = () => {
        clearTimeout(timer);
        this._calls.delete(call);
      };
      call.answer = (result) => (end(), resolve(result));
      call.refuse = (error) => (end(), reject(error));
      const timer = setTimeout(() => {
        if (call.sent) this._way.cancel(call);
        call.refuse(new Refused(`${method} took more than ${deadline} seconds`, 504));
      }, 1000 * deadline);
      this._calls.add(call);
      if (this.state === "open") this._send(call);
    });
  }

  /** @param {Call} call */
  _send(call) {
    call.sent = true;
    this._way.send(call);
  }
}

/** What was asked, and is not answered. */
class Call {
  /**
   * @param {number} id
   * @param {string} method
   * @param {any} params
   * @param {(value: any) => void} [progress]
   */
  constructor(id, method, params, progress) {
    this.id = id;
    this.method = method;
    this.params = params;
    this.progress = progress;
    this.sent = false;
    /** @type {(result: any) => void} */
    this.answer = () => {};
    /** @type {(error: Error) => void} */
    this.refuse = () => {};
  }
}

/** A channel that is heard. */
export class Subscription {
  /**
   * @param {Ropewalk} rope
   * @param {string} channel
   * @param {(said: Said) => void} heard
   * @param {Listening} listening
   */
  constructor(rope, channel, heard, listening) {
    this._rope = rope;
    this._heard = heard;
    this._listening = listening;
    this.channel = channel;
    /** The token of what was heard last. @type {string | undefined} */
    this.token = listening.after || undefined;
    this.who = listening.who;
    this.data = asItIs(listening.data);
    this.kept = listening.kept || listening.after === "";
    this._asked = this._told = this._stood = false;
    /** How often the daemon could not have it since it last could. */
    this._tries = 0;
    /** By channel, the token of what was heard last. @type {Map<string, string>} */
    this._last = new Map();
  }

  /**
   * Be present under another name, or under none. Asking again and again says so with
   * the next question.
   *
   * @param {string} [who]
   * @param {object} [data]
   */
  rename(who, data) {
    this.data = asItIs(data);
    this.who = who;
    if (this.stands) this._rope._way.rename(this);
  }

  /** Hear it no longer. */
  end() {
    const { _subscriptions: known, _way: way } = this._rope;
    if (known.get(this.channel) !== this) return;
    known.delete(this.channel);
    way.unsubscribe(this);
  }

  /** Whether it is a pattern, which may have many channels. */
  get many() {
    return this.channel.includes("*");
  }

  /** Whether it is still wanted. */
  get stands() {
    return this._rope._subscriptions.get(this.channel) === this;
  }

  /** The daemon is asked for what came. @returns {string | undefined}  After what. */
  _ask() {
    this._asked = this.token !== undefined && place(this.token).sequence > 0;
    this._told = false;
    // Whatever is kept came after a message that nobody knows.
    return this.token ?? (this.kept ? "" : undefined);
  }

  /**
   * It stands: what comes from now on is after this.
   *
   * @param {string | null} token
   * @param {Said[]} held  What came until now, and was not told.
   */
  _begin(token, held = []) {
    // Of what was said meanwhile in the channels of a pattern nobody tells.
    if (token === null && this._stood) this._miss();
    for (const said of held) this._take(said);
    this._tries = 0;
    // It was asked for before the last message was heard, perhaps.
    if (token !== null && isNews(this.token, token)) this.token = token;
    this._stood = true;
  }

  /** @param {Said} said */
  _take(said) {
    if (!this.stands || !isNews(this._last.get(said.channel), said.token)) return;
    this._last.set(said.channel, said.token);
    // A pattern has channels with a numbering of their own each.
    if (!this.many) {
      if (!follows(this.token, said.token)) this._miss();
      this.token = said.token;
    }
    tell(this._heard, said);
  }

  /** @param {"joined" | "left"} event @param {Present} someone */
  _meet(event, someone) {
    if (this.stands) tell(this._listening[event], someone);
  }

  /** The daemon says that something is lost. */
  _lack() {
    if (this._asked) this._miss();
  }

  _miss() {
    if (!this.stands || this._told) return;
    this._told = true;
    tell(this._listening.gap);
  }

  /** @param {Refused} error */
  _refuse(error) {
    if (!this.stands) return;
    this._rope._subscriptions.delete(this.channel);
    if (this._listening.refused) this._listening.refused(error);
    else console.error(`${this.channel}: ${error.message}`);
  }
}

/** An operation that is offered. */
export class Offer {
  /**
   * @param {Ropewalk} rope
   * @param {string} name
   * @param {(parameters: any, asking: Asking) => any} answer
   * @param {Offering} terms
   */
  constructor(rope, name, answer, { routing, requires, running = 32, refused }) {
    this._rope = rope;
    this._answer = answer;
    this._most = running;
    this._refused = refused;
    this.name = name;
    this.routing = routing;
    this.requires = requires;
    /** Whether the daemon has it. */
    this.offered = false;
    /** Why the daemon does not have it, so far as that is known. */
    this.problem = "";
    this._had = false;
    this._tries = this._running = 0;
    /** Why it does not stand. @type {Refused | undefined} */
    this._over = undefined;
    /** @type {{resolve: () => void, reject: (error: Refused) => void}[]} */
    this._waiting = [];
  }

  /** Whether it is still to be offered. */
  get stands() {
    return this._rope._offers.get(this.name) === this;
  }

  /**
   * Wait until it can be called. It is refused when the offer is, for good, or stopped.
   *
   * @returns {Promise<void>}
   */
  ready() {
    if (this.offered) return Promise.resolve();
    if (this._over) return Promise.reject(this._over);
    return new Promise((resolve, reject) => this._waiting.push({ resolve, reject }));
  }

  /** Offer it no longer. What is under way is still answered. */
  stop() {
    if (!this.stands) return;
    this._rope._way.withdraw(this);
    this._end(new Refused(`${this.name} is not offered any more`));
  }

  /** The daemon has it. */
  _began() {
    if (!this.stands) return;
    this.offered = this._had = true;
    this.problem = "";
    this._tries = 0;
    for (const { resolve } of this._waiting.splice(0)) resolve();
  }

  /**
   * Whether it is no use to ask again. What the daemon had once may be taken by a
   * connection of ours of which it does not know yet that it is lost.
   *
   * @param {Refused} error
   */
  _isFinal(error) {
    return isFinal(error) && !(this._had && error.status === TAKEN);
  }

  /** The daemon does not have it now. That is told once. @param {Refused} error */
  _hold(error) {
    if (!this.stands || this.problem === error.message) return;
    this.problem = error.message;
    this._tell(error);
  }

  /** It may not be offered. @param {Refused} error */
  _refuse(error) {
    if (!this.stands) return;
    this._end(error);
    this._tell(error);
  }

  /** It is not to be offered any more. @param {Refused} error */
  _end(error) {
    this._rope._offers.delete(this.name);
    this._over = error;
    this.offered = false;
    this.problem = error.message;
    for (const { reject } of this._waiting.splice(0)) reject(error);
  }

  /** @param {any} parameters @param {Asking} asking @returns {Promise<any>} */
  async _ask(parameters, asking) {
    if (this._running >= this._most) {
      throw new Refused(`who offers '${this.name}' is busy; try again in a moment`, 503);
    }
    this._running += 1;
    try {
      return await this._answer(parameters, asking);
    } finally {
      this._running -= 1;
    }
  }

  /** @param {Refused} error */
  _tell(error) {
    if (this._refused) tell(this._refused, error);
    else console.error(`${this.name}: ${error.message}`);
  }
}

/**
 * Tell a page something. What fails there is reported as if it were told alone: whoever
 * tells has more to do.
 *
 * @param {((...told: any[]) => void) | undefined} listener
 * @param {any[]} told
 */
function tell(listener, ...told) {
  try {
    listener?.(...told);
  } catch (error) {
    report(error);
  }
}

/** Have the page know of a fault of its own. @param {unknown} error */
function report(error) {
  setTimeout(() => {
    throw error;
  });
}

/**
 * A value as it is now: the page may change it before it is sent. What cannot be said in
 * JSON is thrown before it waits with what can.
 *
 * @param {any} value
 */
function asItIs(value) {
  return value === undefined ? value : JSON.parse(JSON.stringify(value));
}

/** A name for a request that no other has, and nobody can guess. */
function makeKey() {
  const bytes = [...crypto.getRandomValues(new Uint8Array(16))];
  return `"${bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("")}"`;
}

/** What a token says. @param {string} token */
function place(token) {
  const dot = token.lastIndexOf(".");
  return { numbering: token.slice(0, dot), sequence: Number(token.slice(dot + 1)) };
}

/**
 * Whether no message was between two.
 *
 * @param {string | undefined} before  Before the first there is none, or one that was
 *     given a token before there was a numbering.
 * @param {string} token
 */
function follows(before, token) {
  if (before === undefined) return true;
  const [last, next] = [place(before), place(token)];
  const same = last.numbering === next.numbering || last.sequence === 0;
  return same && next.sequence === last.sequence + 1;
}

/**
 * Whether a message is none that was heard. What is on its way while one subscribes
 * again may come twice.
 *
 * @param {string | undefined} last
 * @param {string} token
 */
function isNews(last, token) {
  if (last === undefined) return true;
  const [heard, came] = [place(last), place(token)];
  return heard.numbering !== came.numbering || came.sequence > heard.sequence;
}

/**
 * The messages of one channel in the order of their numbers. A numbering that began later
 * is behind the one before it.
 *
 * @param {Said[]} messages
 */
function inOrder(messages) {
  const numbering = ({ token }) => place(token).numbering;
  const numberings = [...new Set(messages.map(numbering))];
  const age = (said) => numberings.indexOf(numbering(said));
  return messages.sort((one, other) => age(one) - age(other) || one.sequence - other.sequence);
}

// The ways. Each has start, stop, subscribe, rename, unsubscribe, offer, withdraw, send and
// cancel.

class ByWebSocket {
  /** @param {Ropewalk} rope */
  constructor(rope) {
    this._rope = rope;
    this._asked = new Map();
    /** What came for those whose subscription is not answered, beside others that hear the
     *  same: it may be newer than what they are still to hear.
     *  @type {Map<Subscription, Said[]>} */
    this._held = new Map();
    /** What is tried again in a while. @type {Map<Subscription | Offer, number>} */
    this._later = new Map();
    /** What the daemon asks for, by its id. @type {Map<any, AbortController>} */
    this._doing = new Map();
    this._number = 0;
    this._open = false;
    this._silence = new Silence(rope, () => this._doubt());
  }

  start() {
    const url = new URL(this._rope.options.live, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = (this._socket = new WebSocket(url, "ropewalk.json"));
    this._silence.wait(this._rope.options.answer, () => this._rope._lost(false));
    socket.onopen = () => {
      this._open = true;
      this._silence.broken();
      for (const each of this._rope._subscriptions.values()) this.subscribe(each);
      for (const each of this._rope._offers.values()) this.offer(each);
      this._rope._opened();
    };
    socket.onmessage = ({ data }) => {
      this._silence.broken();
      this._hear(JSON.parse(data));
    };
    socket.onclose = ({ reason }) => this._rope._lost(this._open, reason);
  }

  stop() {
    const socket = this._socket;
    this._silence.end();
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    this._open = false;
    for (const each of [...this._later.keys()]) this._forget(each);
    for (const id of [...this._doing.keys()]) this._abort(id);
  }

  /** @param {Subscription} subscription */
  subscribe(subscription) {
    if (!this._open) return; // it is done when it opens
    this._forget(subscription);
    const { channel, who, data } = subscription;
    const params = { channel, who, data, after: subscription._ask() };
    if (!this._held.has(subscription)) this._held.set(subscription, []);
    this._request(`s${++this._number}`, "rpc.subscribe", params, {
      answer: ({ whole, token }) => {
        if (!whole) subscription._lack();
        subscription._begin(token, this._release(subscription));
      },
      refuse: (error) => {
        this._release(subscription);
        this.unsubscribe(subscription); // it may have stood under another name
        if (isFinal(error)) subscription._refuse(error);
        else this._again(subscription, error, () => this.subscribe(subscription));
      },
    });
  }

  /** Hold no more. @param {Subscription} subscription @returns {Said[]}  What was held. */
  _release(subscription) {
    const held = this._held.get(subscription) ?? [];
    this._held.delete(subscription);
    return subscription.many ? held : inOrder(held);
  }

  /** @param {Subscription} subscription */
  rename(subscription) {
    this.subscribe(subscription);
  }

  /** @param {Subscription} subscription */
  unsubscribe(subscription) {
    const { channel } = subscription;
    this._forget(subscription);
    if (this._open) this._say({ method: "rpc.unsubscribe", params: { channel } });
  }

  /** @param {Offer} offer */
  offer(offer) {
    if (!this._open) return; // it is done when it opens
    const { name, routing, requires } = offer;
    this._request(`o${++this._number}`, "rpc.offer", { name, routing, requires }, {
      answer: () => offer._began(),
      refuse: (error) => {
        if (offer._isFinal(error)) {
          offer._refuse(error);
          return;
        }
        offer._hold(error);
        this._again(offer, error, () => this.offer(offer));
      },
    });
  }

  /** @param {Offer} offer */
  withdraw(offer) {
    const { name } = offer;
    this._forget(offer);
    if (this._open) this._say({ method: "rpc.withdraw", params: { name } });
  }

  /**
   * Try again in a while what the daemon could not have.
   *
   * @param {Subscription | Offer} wanted
   * @param {Refused} error
   * @param {() => void} ask
   */
  _again(wanted, error, ask) {
    if (!wanted.stands) return;
    wanted._tries += 1;
    const again = () => {
      this._later.delete(wanted);
      ask();
    };
    const pause = this._rope._pause(wanted._tries, error.seconds);
    this._later.set(wanted, setTimeout(again, 1000 * pause));
  }

  /** Do not try it again. @param {Subscription | Offer} wanted */
  _forget(wanted) {
    clearTimeout(this._later.get(wanted));
    this._later.delete(wanted);
  }

  /** @param {Call} call */
  send(call) {
    this._request(call.id, call.method, call.params, call, call.progress !== undefined);
  }

  /** @param {Call} call */
  cancel({ id }) {
    this._asked.delete(id);
    this._say({ method: "rpc.cancel", params: { id } });
  }

  /** Find out whether the daemon still is there: a tunnel closes no connection. */
  _doubt() {
    this._request("?", "rpc.cancel", { id: "?" }, { answer() {}, refuse() {} });
    this._silence.wait(this._rope.options.answer, () => this._rope._lost(true));
  }

  _request(id, method, params, asked, progress = false) {
    this._asked.set(id, asked);
    this._say({ id, method, params, ...(progress && { progress }) });
  }

  _say(message) {
    this._socket.send(JSON.stringify({ jsonrpc: "2.0", ...message }));
  }

  _hear(message) {
    if (message.method !== undefined) {
      if (message.id === undefined) this._told(message.method, message.params);
      else this._do(message);
      return;
    }
    const asked = this._asked.get(message.id);
    this._asked.delete(message.id);
    if (asked === undefined) return;
    const { error } = message;
    if (error === undefined) {
      asked.answer(message.result);
      return;
    }
    const { status, errors, seconds } = error.data ?? {};
    asked.refuse(new Refused(error.message, status, errors, seconds));
  }

  /** Do what the daemon asks for. @param {{id: any, method: string, params?: any}} asked */
  async _do({ id, method, params = {} }) {
    const controller = new AbortController();
    const { signal } = controller;
    this._doing.set(id, controller);
    const progress = (value = null) => {
      const waits = this._doing.get(id) === controller;
      if (!waits || this._socket.bufferedAmount >= ROOM) return;
      this._say({ method: "rpc.progress", params: { id, value } });
    };
    let answer;
    try {
      const offer = this._rope._offers.get(method);
      if (offer === undefined) throw new Refused(`there is no operation '${method}'`, 404);
      const result = await offer._ask(params, { progress, signal });
      answer = `"result":${JSON.stringify(result) ?? null}`;
    } catch (error) {
      answer = `"error":${JSON.stringify(explain(error, signal))}`;
    }
    if (this._doing.get(id) !== controller) return; // nobody waits any more
    this._doing.delete(id);
    this._socket.send(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},${answer}}`);
  }

  /** Nobody waits for an answer any more. @param {any} id */
  _abort(id) {
    this._doing.get(id)?.abort();
    this._doing.delete(id);
  }

  _told(method, params) {
    if (method === "rpc.message") {
      const hearing = this._hearing(params.channel);
      for (const each of hearing) {
        const held = this._held.get(each);
        // What one alone hears comes in order: who loses the connection again has it.
        const alone = hearing.length === 1 && !each.many && !held?.length;
        if (held && !alone) held.push(params);
        else each._take(params);
      }
    } else if (method === "rpc.joined" || method === "rpc.left") {
      for (const each of this._hearing(params.channel)) each._meet(method.slice(4), params);
    } else if (method === "rpc.progress") {
      this._asked.get(params.id)?.progress?.(params.value);
    } else if (method === "rpc.cancel") {
      this._abort(params.id);
    }
  }

  /** Who hears a channel, by its name or by a pattern. */
  _hearing(channel) {
    const words = channel.split(".");
    return [...this._rope._subscriptions.values()].filter((each) => {
      if (this._later.has(each)) return false; // it is told when it stands
      const wanted = each.channel.split(".");
      const rest = wanted.at(-1) === "**";
      if (rest ? words.length < wanted.length : words.length !== wanted.length) return false;
      return wanted.every((word, at) => word.startsWith("*") || word === words[at]);
    });
  }
}

/**
 * What who has called is told of an error: nothing of what is the page's own fault.
 *
 * @param {unknown} error
 * @param {AbortSignal} signal  Of the call.
 */
function explain(error, signal) {
  if (error instanceof Refused) {
    const { message, status, faults: errors } = error;
    return { code: codeOf(status), message, data: { status, errors } };
  }
  if (!signal.aborted || error?.name !== "AbortError") report(error);
  const message = "something went wrong in the page";
  return { code: codeOf(500), message, data: { status: 500 } };
}

/** What JSON-RPC says for a status. @param {number} status */
function codeOf(status) {
  if (status === 400 || status === 422) return -32602;
  if (status === 404) return -32601;
  if (status === 500) return -32603;
  if (status > 400 && status < 450) return 400 - status - 32000;
  if (status > 500 && status < 549) return 500 - status - 32050;
  return -32000;
}

/** How long nothing was heard. */
class Silence {
  /** @param {Ropewalk} rope @param {() => void} over  Called when it is too long. */
  constructor(rope, over) {
    this._rope = rope;
    this._over = over;
  }

  /** Something was heard. */
  broken() {
    this.wait(this._rope.options.silence, this._over);
  }

  /** @param {number} seconds @param {() => void} over */
  wait(seconds, over) {
    clearTimeout(this._timer);
    this._timer = setTimeout(over, 1000 * seconds);
  }

  end() {
    clearTimeout(this._timer);
  }
}

/** What both ways by HTTP do. */
class ByHTTP {
  /** @param {Ropewalk} rope */
  constructor(rope) {
    this._rope = rope;
    this._stopped = this._open = false;
    /** Whether the daemon has answered anything, or is being asked whether it is there. */
    this._answered = this._greeting = false;
    this._fetching = new Map();
    /** @type {Set<Subscription>} */
    this._beginning = new Set();
  }

  start() {
    this._beginning = new Set(this._rope._subscriptions.values());
    for (const each of [...this._beginning]) this.subscribe(each);
    this._look();
  }

  /** A subscription stands, or is refused. @param {Subscription} subscription */
  _begun(subscription) {
    this._answered = true;
    this._dropped(subscription);
  }

  /** Nobody waits for a subscription any more. @param {Subscription} subscription */
  _dropped(subscription) {
    this._beginning.delete(subscription);
    this._look();
  }

  /** It is open when all that was subscribed to is heard: what is published then, too. */
  _look() {
    if (this._stopped || this._open || this._beginning.size > 0) return;
    if (!this._answered) {
      this._greet();
      return;
    }
    this._open = true;
    for (const each of this._rope._offers.values()) this.offer(each);
    this._rope._opened();
  }

  /** Nobody can be asked for something by HTTP. @param {Offer} offer */
  offer(offer) {
    if (this._stopped || !this._open) return;
    const told = `nothing can be offered by ${this._rope.way}`;
    offer._hold(new Refused(`${told}: ${offer.name} waits for another way`, NOT_HERE));
  }

  withdraw() {} // there is nothing to be done

  /** Where nothing is subscribed to, nobody has answered yet. */
  async _greet() {
    if (this._greeting) return;
    this._greeting = true;
    const there = await this._rope._answers();
    this._greeting = false;
    if (this._stopped) return;
    if (!there) {
      this._rope._lost(false);
      return;
    }
    this._answered = true;
    this._look();
  }

  /** A call was lost: perhaps nobody is there for the next one, either. */
  async _doubt() {
    const there = await this._rope._answers();
    if (!there && !this._stopped) this._rope._lost(this._open);
  }

  stop() {
    this._stopped = true;
    for (const controller of this._fetching.values()) controller.abort();
  }

  /** @param {Call} call */
  async send(call) {
    const { channels, operations } = this._rope.options;
    const { method, params } = call;
    try {
      if (method === "rpc.publish") {
        const address = `${channels}/${encodeURIComponent(params.channel)}`;
        call.answer(await this._fetch(call, address, { body: params.body }));
      } else if (method === "rpc.present") {
        const address = `${channels}/${encodeURIComponent(params.channel)}/present`;
        call.answer(await this._fetch(call, address));
      } else {
        call.answer(await this._fetch(call, `${operations}/${method}`, { body: params }));
      }
    } catch (error) {
      const lost = !(error instanceof Refused);
      call.refuse(lost ? new Refused("the connection was lost") : error);
      if (lost && !this._stopped) this._doubt();
    }
  }

  /** @param {Call} call */
  cancel(call) {
    this._fetching.get(call)?.abort();
  }

  /**
   * Ask by HTTP. A stream is not read: it is known then that there is one.
   *
   * @param {any} key  By which it can be aborted.
   * @param {string} address
   * @param {{body?: any, accept?: string, seconds?: number}} [how]  What to post; what is
   *     wanted; after how many seconds it is given up.
   * @returns {Promise<any>}
   */
  async _fetch(key, address, { body, accept = JSON_TYPE, seconds } = {}) {
    const controller = new AbortController();
    const timer = seconds && setTimeout(() => controller.abort(), 1000 * seconds);
    this._fetching.set(key, controller);
    try {
      const response = await fetch(address, {
        signal: controller.signal,
        headers: { accept },
        ...(body !== undefined && {
          method: "POST",
          // A browser may send it twice, by itself: it is done once.
          headers: { accept, "content-type": JSON_TYPE, "idempotency-key": makeKey() },
          body: JSON.stringify(body),
        }),
      });
      if (response.ok) this._rope._attempts = 0; // somebody is there, and glad to answer
      if (response.ok && accept !== JSON_TYPE) return null;
      const told = await response.json().catch(() => null);
      if (response.ok) return told;
      const seconds = Number(response.headers.get("retry-after")) || 0;
      const detail = told?.detail ?? response.statusText;
      throw new Refused(detail, response.status, told?.errors, seconds);
    } finally {
      clearTimeout(timer);
      controller.abort(); // of a stream, the rest is not wanted
      this._fetching.delete(key);
    }
  }

  /** @param {Subscription} subscription @param {string} [after] */
  _address({ channel, who }, after, more = {}) {
    const query = new URLSearchParams(more);
    if (after !== undefined) query.set("after", after);
    if (who !== undefined) query.set("who", who);
    return `${this._rope.options.channels}/${encodeURIComponent(channel)}?${query}`;
  }
}

class ByEvents extends ByHTTP {
  /** @param {Ropewalk} rope */
  constructor(rope) {
    super(rope);
    /** @type {Map<string, {subscription: Subscription, source: EventSource, silence: Silence}>} */
    this._sources = new Map();
  }

  stop() {
    super.stop();
    for (const { subscription } of [...this._sources.values()]) this.unsubscribe(subscription);
  }

  /** @param {Subscription} subscription */
  subscribe(subscription) {
    if (this._stopped) return; // it is done by the next way
    const source = new EventSource(this._address(subscription, subscription._ask()));
    const silence = new Silence(this._rope, () => this._failed(subscription));
    this._sources.set(subscription.channel, { subscription, source, silence });
    // It is open when something came: a proxy that gathers it lets its head through.
    silence.wait(this._rope.options.answer, () => this._rope._lost(this._open));
    const hear = (event, take) =>
      source.addEventListener(event, ({ data }) => {
        silence.broken();
        this._rope._proved();
        take(JSON.parse(data));
      });
    hear("message", (said) => subscription._take(said));
    hear("joined", (someone) => subscription._meet("joined", someone));
    hear("left", (someone) => subscription._meet("left", someone));
    hear("gap", () => subscription._lack());
    hear("ready", ({ token }) => {
      subscription._begin(token);
      this._begun(subscription);
    });
    hear("beat", () => {});
    source.onerror = () => this._failed(subscription);
  }

  /** @param {Subscription} subscription */
  rename(subscription) {
    this.unsubscribe(subscription);
    this.subscribe(subscription);
  }

  /** @param {Subscription} subscription */
  unsubscribe(subscription) {
    const { channel } = subscription;
    const known = this._sources.get(channel);
    if (known === undefined) return;
    known.source.close();
    known.silence.end();
    this._sources.delete(channel);
    if (!subscription.stands) this._dropped(subscription);
  }

  /** A stream does not say why it ended, or was never one: whoever asks is told. */
  async _failed(subscription) {
    if (this._stopped) return;
    this.unsubscribe(subscription);
    const accept = `text/event-stream, ${JSON_TYPE};q=0.5`; // what is refused is told in JSON
    const seconds = this._rope.options.answer;
    let least;
    try {
      await this._fetch(subscription, this._address(subscription), { accept, seconds });
    } catch (error) {
      if (isFinal(error)) {
        subscription._refuse(error);
        this._begun(subscription);
        return;
      }
      least = error.seconds;
    }
    if (!this._stopped) this._rope._lost(this._open, "", least);
  }
}

class ByPolling extends ByHTTP {
  /** @param {Subscription} subscription */
  async subscribe(subscription) {
    if (subscription.many) {
      this._dropped(subscription); // it waits for another way: nobody can ask so for many
      return;
    }
    while (!this._stopped && subscription.stands) {
      try {
        const heard = await this._next(subscription);
        if (!heard.whole) subscription._lack();
        for (const said of heard.messages) subscription._take(said);
        subscription._begin(heard.token);
        this._begun(subscription);
      } catch (error) {
        if (this._stopped || !subscription.stands) return;
        if (isFinal(error)) {
          subscription._refuse(error);
          this._begun(subscription);
        } else {
          this._rope._lost(this._open, "", error.seconds);
        }
        return;
      }
    }
  }

  /** Who has heard nothing yet begins now, or with what is kept. The first question is not
   *  to wait: it is how one knows that the daemon is there. */
  _next(subscription) {
    const { token, kept } = subscription;
    const first = token === undefined;
    const { answer, silence } = this._rope.options;
    const wait = first || this._beginning.has(subscription) ? 0 : POLL * silence;
    subscription._ask();
    const more = first ? { limit: kept ? MOST : 0 } : { wait };
    const seconds = answer + wait;
    return this._fetch(subscription, this._address(subscription, token, more), { seconds });
  }

  rename() {} // it is said with the next question

  /** @param {Subscription} subscription */
  unsubscribe(subscription) {
    this._fetching.get(subscription)?.abort();
    this._dropped(subscription);
  }
}

/** Whether it is no use to ask again. @param {unknown} error */
function isFinal(error) {
  return error instanceof Refused && error.status < 500 && !PASSING.includes(error.status);
}
