// The page's half of sdk_client.py: a guest with the devices of devices.js, who hands over what the
// SDK gives back: events, pixels, samples. The SDK itself runs unmodified.
"use strict";

const harness = (() => {
  let room = null;
  let loop = null;
  const kept = new Map();
  const handlers = new Map();

  // Events and results as plain data. Functions go, and objects that hold themselves end there.
  function plain(value, above = []) {
    if (value === null || ["string", "boolean"].includes(typeof value)) return value;
    if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
    if (value instanceof Date) return value.toISOString();
    if (value instanceof Error) return failure(value);
    if (typeof value !== "object" || above.includes(value) || above.length > 8) return undefined;
    if (value instanceof EventTarget) return { kind: value.constructor.name, id: value.id };
    const below = [...above, value];
    if (Array.isArray(value)) return value.map((item) => plain(item, below) ?? null);
    const result = {};
    for (const key of Object.keys(value)) {
      const item = plain(value[key], below);
      if (item !== undefined) result[key] = item;
    }
    // What the SDK hands out as objects (recordings and the like) keeps its data behind getters.
    const prototype = Object.getPrototypeOf(value);
    if (prototype && prototype !== Object.prototype) {
      for (const key of ["id", "state", "url", "duration", "startedAt", "endedAt"]) {
        if (!(key in result) && key in value) {
          const item = plain(value[key], below);
          if (item !== undefined) result[key] = item;
        }
      }
    }
    return result;
  }

  function failure(error) {
    if (error === null || typeof error !== "object") return { message: String(error) };
    const { name, code, message } = error;
    return { name: name ?? null, code: code ?? null, message: message ?? JSON.stringify(error) };
  }

  // Run a step, and say how it went without throwing: not all that the SDK rejects with is an Error.
  async function attempt(step) {
    try {
      return { value: plain(await step()) ?? null };
    } catch (error) {
      return { error: failure(error) };
    }
  }

  async function create({ options, fake, clock, events }) {
    const settings = { rootElement: document.getElementById("root"), ...options };
    if (fake) settings.localStream = await devices.stream(fake);
    else if (clock !== null) devices.install({ clock });
    room = new SignalWire.Video.RoomSession(settings);
    for (const name of events) {
      room.on(name, (payload) => reportEvent(name, plain(payload) ?? null));
    }
  }

  async function call(name, args, { keep, on }) {
    const target = on === null ? room : kept.get(on);
    if (!target) throw new Error(on === null ? "there is no room" : `nothing is kept as ${on}`);
    if (typeof target[name] !== "function") throw new Error(`there is no method ${name}`);
    const result = await target[name](...args);
    // A stream comes wrapped, unlike the other objects and against the documentation.
    if (keep !== null) kept.set(keep, name === "startStream" ? result.stream : result);
    return result === room ? null : result;
  }

  // A stream is no plain data: it is made here.
  async function setLocalStream(fake) {
    if (!room) throw new Error("there is no room");
    await room.setLocalStream(await devices.stream(fake));
  }

  function get(name, on) {
    const target = on === null ? room : kept.get(on);
    if (!target) throw new Error(on === null ? "there is no room" : `nothing is kept as ${on}`);
    return target[name];
  }

  // Give the SDK's own on, once, off or removeAllListeners a handler that reports its calls as `tag`.
  function listen(method, event, tag) {
    const args = event === null ? [] : [event];
    if (tag !== null) {
      if (!handlers.has(tag)) {
        handlers.set(tag, (payload) => reportEvent(tag, plain(payload) ?? null));
      }
      args.push(handlers.get(tag));
    }
    room[method](...args);
    return null;
  }

  // No room and no SDK: the guest's own stream through two connections of this page, and back.
  async function loopback(fake) {
    const stream = await devices.stream(fake);
    const [near, far] = [new RTCPeerConnection(), new RTCPeerConnection()];
    near.onicecandidate = ({ candidate }) => far.addIceCandidate(candidate);
    far.onicecandidate = ({ candidate }) => near.addIceCandidate(candidate);
    loop = { near, far, stream: new MediaStream() };
    far.ontrack = ({ track }) => loop.stream.addTrack(track);
    for (const track of stream.getTracks()) near.addTrack(track, stream);
    await near.setLocalDescription();
    await far.setRemoteDescription(near.localDescription);
    await far.setLocalDescription();
    await near.setRemoteDescription(far.localDescription);

    // As the SDK does it: sound to an audio element, the picture into the page.
    const video = document.createElement("video");
    const audio = document.createElement("audio");
    Object.assign(video, { id: "loop", autoplay: true, muted: true, srcObject: loop.stream });
    Object.assign(audio, { autoplay: true, muted: true, srcObject: loop.stream });
    document.getElementById("root").append(video, audio);
  }

  function remoteVideo() {
    return loop
      ? document.querySelector("#root > #loop")
      : document.querySelector("#root .paddingWrapper > div:not(.mcuLayers) > video");
  }

  function remoteStream() {
    return loop ? loop.stream : (room && room.remoteStream);
  }

  function localTrack(kind) {
    return kind === "audio" ? room.localAudioTrack : room.localVideoTrack;
  }

  // Bytes as base64, the one form in which megabytes cross to the test in good time.
  async function base64(bytes) {
    const reader = new FileReader();
    const done = new Promise((resolve) => reader.addEventListener("load", resolve));
    reader.readAsDataURL(new Blob([bytes]));
    await done;
    return reader.result.slice(reader.result.indexOf(",") + 1);
  }

  // The next frame of the far end's video, as it is shown; or the one that stands there.
  async function pixels({ fresh }) {
    while (!remoteVideo()) await new Promise(requestAnimationFrame);
    const video = remoteVideo();
    if (fresh || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) {
      await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
    }
    const [width, height] = [video.videoWidth, video.videoHeight];
    const canvas = new OffscreenCanvas(width, height);
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.drawImage(video, 0, 0);
    const { data } = pen.getImageData(0, 0, width, height);
    return { width, height, rgba: await base64(data) };
  }

  // The far end's sound from now on, for so many samples.
  async function samples(count) {
    // The SDK's join is over before it has looked at the answer, and so before there is a stream.
    while (!remoteStream()?.getAudioTracks().length) await new Promise(requestAnimationFrame);
    const stream = remoteStream();
    const audio = await devices.audioContext();
    const source = new MediaStreamAudioSourceNode(audio, { mediaStream: stream });
    const tap = new AudioWorkletNode(audio, "samples", {
      numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit",
    });
    // A source starts with a gap of its own before the stream's sound comes through.
    const lead = audio.sampleRate / 10;
    const taken = new Float32Array(lead + count);
    let filled = 0;
    await new Promise((resolve) => {
      tap.port.onmessage = ({ data }) => {
        const room = taken.length - filled;
        taken.set(data.length > room ? data.subarray(0, room) : data, filled);
        filled += Math.min(data.length, room);
        if (filled === taken.length) resolve();
      };
      source.connect(tap);
    });
    source.disconnect();
    tap.port.close();
    return { rate: audio.sampleRate, samples: await base64(taken.subarray(lead)) };
  }

  return {
    call: (name, args, where) => attempt(() => call(name, args, where)),
    create: (settings) => attempt(() => create(settings)),
    get: (name, on) => attempt(() => get(name, on)),
    listen: (method, event, tag) => attempt(() => listen(method, event, tag)),
    length: (name) => room[name].length,
    loopback: (fake) => attempt(() => loopback(fake)),
    captures: (kind) => localTrack(kind)?.readyState === "live",
    speaker: () => room.getAudioEl().sinkId,
    receives: (kind) => (remoteStream()?.getTracks() ?? []).some((track) => track.kind === kind),
    pixels: (how) => attempt(() => pixels(how)),
    samples: (count) => attempt(() => samples(count)),
    setLocalStream: (fake) => attempt(() => setLocalStream(fake)),
  };
})();
