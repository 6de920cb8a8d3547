import Foundation

/// What a hostile guest wrote about its processes: `PIDFILE` and `PIDFILE.alive`.
public struct HostileRecord: Sendable {
    /// The guest's PIDFILE.
    public let path: String

    /// One process's slot in `PIDFILE.alive`.
    public struct Life: Sendable {
        /// Which process.
        public let process: ProcessIdentity
        /// When it last said that it was alive, in CLOCK_MONOTONIC; 0 without the mode `timestamps`. A living process
        /// says so every 200 µs or so.
        public let lastAliveNanoseconds: UInt64
    }

    /// Looks at a guest's PIDFILE, which may not be there yet.
    public init(_ path: String) {
        self.path = path
    }

    /// Every process that the guest has had.
    public func processes() throws -> [ProcessIdentity] { try pidsInFile(path) }

    /// Those that still live.
    public func living() throws -> [ProcessIdentity] { try processes().filter(\.exists) }

    /// Whether every process that the guest was to start has started.
    public var isReady: Bool {
        guard let data = FileManager.default.contents(atPath: path) else { return false }
        return String(decoding: data, as: UTF8.self).split(separator: "\n").contains("ready")
    }

    /// Waits for that.
    ///
    /// - Returns: the processes.
    @discardableResult
    public func waitUntilReady(within seconds: Double = 10) throws -> [ProcessIdentity] {
        try eventually(within: seconds, "the hostile guest of \(path) being ready") { isReady }
        return try processes()
    }

    /// Waits until no process of the guest lives.
    ///
    /// - Returns: how long that took, in seconds.
    /// - Throws: `TestFailure` that names the survivors.
    @discardableResult
    public func waitUntilGone(within seconds: Double) throws -> Double {
        try eventually(within: seconds, every: 1, "the end of \((try? living()) ?? [])") { try living().isEmpty }
    }

    /// Every process's last sign of life.
    public func lives() throws -> [Life] {
        guard let file = FileHandle(forReadingAtPath: "\(path).alive") else {
            throw TestFailure("\(path).alive: can't be read")
        }
        defer { try? file.close() }
        let header = try file.read(upToCount: 32) ?? Data()
        guard header.count == 32 else { throw TestFailure("\(path).alive is too short") }
        let taken = header.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
        let slots = try file.read(upToCount: Int(min(taken, 65536)) * 32) ?? Data()
        return slots.withUnsafeBytes { bytes in
            (0..<bytes.count / 32).map { index in
                func number(_ field: Int) -> UInt64 {
                    bytes.loadUnaligned(fromByteOffset: index * 32 + field * 8, as: UInt64.self)
                }
                return Life(
                    process: ProcessIdentity(pid: pid_t(truncatingIfNeeded: number(0)), startTime: number(1)),
                    lastAliveNanoseconds: number(2))
            }
        }
    }

    /// When the last of the guest's processes was last alive, in CLOCK_MONOTONIC. Needs the mode `timestamps`.
    public func lastAliveNanoseconds() throws -> UInt64 { try lives().map(\.lastAliveNanoseconds).max() ?? 0 }
}
