// Cameras and microphones in software: a drawn picture and a whistled tone. Either as one stream
// for the SDK's option localStream, or as devices that the SDK finds and asks for by itself.
"use strict";

const devices = (() => {
  let context = null;

  // A clock that no sound card paces: machines for tests have none.
  async function audioContext() {
    if (!context) {
      context = new AudioContext({ sampleRate: 48000, sinkId: { type: "none" } });
      await context.audioWorklet.addModule("/samples.js");
      await context.resume();
    }
    return context;
  }

  // The strip that hal.camera.scene reads: number and clock of a frame in two rows of 32 cells.
  function paintCode(pen, width, height, camera, frame, clock) {
    const body = [
      camera, (frame >> 16) & 255, (frame >> 8) & 255, frame & 255,
      (clock >> 16) & 255, (clock >> 8) & 255, clock & 255,
    ];
    let crc = 0xff;
    for (const byte of body) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit += 1) crc = (crc << 1) ^ (crc & 0x80 ? 0x107 : 0);
    }
    const bits = [...body, crc].flatMap((byte) =>
      [7, 6, 5, 4, 3, 2, 1, 0].map((bit) => (byte >> bit) & 1));
    bits.forEach((bit, index) => {
      const [row, column] = [Math.floor(index / 32), index % 32];
      const [left, right] = [(column * width) / 32, ((column + 1) * width) / 32].map(Math.round);
      const [top, bottom] = [(row * height) / 18, ((row + 1) * height) / 18].map(Math.round);
      pen.fillStyle = bit ? "white" : "black";
      pen.fillRect(left, top, right - left, bottom - top);
    });
  }

  // A camera: a coloured picture crossed by a white bar, so that every frame differs from the last.
  function videoTrack({ color, width, height, fps, camera, clock }) {
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    const pen = canvas.getContext("2d", { alpha: false });
    let frame = 0;
    const paint = () => {
      pen.fillStyle = color;
      pen.fillRect(0, 0, width, height);
      pen.fillStyle = "white";
      pen.fillRect(((frame * 8) % (width + 40)) - 40, height * 0.4, 40, height * 0.2);
      if (camera !== null) {
        const now = Math.floor(performance.now() + clock) % 2 ** 24;
        paintCode(pen, width, height, camera, frame % 2 ** 24, now);
      }
      frame += 1;
    };
    paint();
    const [track] = canvas.captureStream(fps).getVideoTracks();
    const timer = setInterval(() => {
      if (track.readyState === "ended") clearInterval(timer);
      else paint();
    }, 1000 / fps);
    return track;
  }

  // A microphone: one steady tone.
  async function audioTrack({ tone, level }) {
    const audio = await audioContext();
    const oscillator = new OscillatorNode(audio, { frequency: tone });
    const gain = new GainNode(audio, { gain: 10 ** (level / 20) });
    const output = new MediaStreamAudioDestinationNode(audio, { channelCount: 1 });
    oscillator.connect(gain).connect(output);
    oscillator.start();
    return output.stream.getAudioTracks()[0];
  }

  async function stream(how) {
    return new MediaStream([videoTrack(how), await audioTrack(how)]);
  }

  // --- as devices: their ids, tones and pictures are those of the synthetic devices of the hal

  const PREFIX = "synthetic:";
  const SCREEN = 200;
  const LISTED = [1, 2, 7];
  const pulled = new Set();
  const open = [];

  const listed = (value) => (Array.isArray(value) ? value : [value]);

  // The device that constraints ask for: any number up to 255 may be named, as in the hal.
  function choose(constraints) {
    const wish = typeof constraints === "object" ? constraints.deviceId ?? {} : {};
    const plain = typeof wish === "string" || Array.isArray(wish);
    const names = listed(plain ? wish : wish.exact ?? wish.ideal ?? []);
    const numbers = names.filter((name) => name.startsWith(PREFIX))
      .map((name) => Number(name.slice(PREFIX.length)));
    const number = numbers.find((one) => one >= 0 && one <= 255 && !pulled.has(one));
    if (number !== undefined) return number;
    if (names.length && !plain && wish.exact !== undefined) {
      throw new OverconstrainedError("deviceId", `there is no device ${names}`);
    }
    return 1;
  }

  function size(constraints, name, usual, most) {
    const wish = typeof constraints === "object" ? constraints[name] ?? usual : usual;
    if (typeof wish === "number") return Math.min(wish, most);
    if (Math.max(wish.exact ?? 0, wish.min ?? 0) > most) {
      throw new OverconstrainedError(name, `no camera has a ${name} of more than ${most}`);
    }
    const wanted = wish.exact ?? wish.ideal ?? usual;
    return Math.min(Math.max(wanted, wish.min ?? 0), wish.max ?? most, most);
  }

  function dress(track, number, label) {
    const settings = track.getSettings.bind(track);
    track.getSettings = () => ({ ...settings(), deviceId: `${PREFIX}${number}` });
    Object.defineProperty(track, "label", { value: `${label} ${number}` });
    open.push({ track, number });
    return track;
  }

  function camera(number, constraints, clock, label) {
    const how = {
      color: "#2060c0", camera: number, clock,
      width: size(constraints, "width", 320, 640),
      height: size(constraints, "height", 180, 360),
      fps: size(constraints, "frameRate", 10, 15),
    };
    return dress(videoTrack(how), number, label);
  }

  async function microphone(number) {
    const tone = 500 * (((number - 1) % 16) + 2);
    return dress(await audioTrack({ tone, level: -12 }), number, "Synthetic microphone");
  }

  // Loudspeakers are the browser's own, under ids as above: "synthetic:1" and so on.
  function renamed(outputs) {
    const usual = outputs.filter(({ deviceId }) => deviceId === "default");
    const others = outputs.filter(({ deviceId }) => deviceId !== "default");
    return [...usual, ...others].map(({ deviceId, groupId, kind }, number) => ({
      deviceId: number ? `${PREFIX}${number}` : deviceId, groupId, kind, real: deviceId,
      label: number ? `Synthetic speaker ${number}` : "Default", number,
    }));
  }

  // From now on these are the page's devices.
  function install({ clock }) {
    const media = navigator.mediaDevices;
    const known = media.enumerateDevices.bind(media);
    const outputs = async () =>
      renamed((await known()).filter(({ kind }) => kind === "audiooutput"))
        .filter(({ number }) => !pulled.has(number));
    const { setSinkId } = HTMLMediaElement.prototype;
    HTMLMediaElement.prototype.setSinkId = async function setRenamed(id) {
      const output = (await outputs()).find(({ deviceId }) => deviceId === id);
      await setSinkId.call(this, output ? output.real : id);
      Object.defineProperty(this, "sinkId", { value: id, configurable: true });
    };
    media.getUserMedia = async ({ audio, video }) => {
      const tracks = [];
      if (audio) tracks.push(await microphone(choose(audio)));
      if (video) tracks.push(camera(choose(video), video, clock, "Synthetic camera"));
      return new MediaStream(tracks);
    };
    media.getDisplayMedia = async ({ audio, video = true } = {}) => {
      const tracks = [camera(SCREEN, video, clock, "Synthetic screen")];
      if (audio) tracks.push(await microphone(SCREEN));
      return new MediaStream(tracks);
    };
    media.enumerateDevices = async () => {
      const all = await outputs();
      for (const number of LISTED.filter((one) => !pulled.has(one))) {
        for (const [kind, label] of [["audioinput", "microphone"], ["videoinput", "camera"]]) {
          all.push({
            deviceId: `${PREFIX}${number}`, groupId: `${number}`, kind,
            label: `Synthetic ${label} ${number}`,
          });
        }
      }
      return all;
    };
  }

  // Pull a device: what captures from it ends, as the browser tells it.
  function unplug(number) {
    pulled.add(number);
    for (const one of open.filter((other) => other.number === number)) {
      if (one.track.readyState === "ended") continue;
      one.track.stop();
      one.track.dispatchEvent(new Event("ended"));
    }
    navigator.mediaDevices.dispatchEvent(new Event("devicechange"));
  }

  return { audioContext, install, stream, unplug };
})();
