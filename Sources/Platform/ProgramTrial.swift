import CPlatform
import Glibc

/// Another program, tried in a child process that has nothing of this one's but one descriptor.
public struct ProgramTrial: ~Copyable {
    /// The child's pid, to be reaped by this process when it has ended.
    public let pid: Int32
    private let output: Descriptor

    /// The most that is read of what it writes, in bytes. One that writes more than a pipe holds waits for good.
    private static let longestOutput = 4096

    /// Executes it. Returns at once, however long the program's storage takes.
    ///
    /// - Parameters:
    ///   - front: its first arguments, the name it is called by first.
    ///   - rest: those behind them.
    ///   - kept: the descriptor that it has, under the same number.
    public init(
        _ path: String, arguments front: [String], _ rest: StringVector, handing kept: Int32
    ) throws(SystemError) {
        var output: Int32 = -1
        let child = rest.withFront(front) { leasehold_try_program(path, $0, environ, kept, &output) }
        if child < 0 { throw SystemError("fork") }
        pid = child
        self.output = Descriptor(adopting: output)
    }

    /// Kills it.
    public func kill() {
        Glibc.kill(pid, SIGKILL)
    }

    /// What it has written.
    public enum Words: Equatable, Sendable {
        /// This text.
        case text(String)
        /// Nothing: it could not be executed. The errno.
        case notExecuted(Int32)
    }

    /// Reads what it has written so far.
    public func words() -> Words {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: ProgramTrial.longestOutput)
        while bytes.count < ProgramTrial.longestOutput {
            let result = buffer.withUnsafeMutableBytes { room in
                Result { () throws(SystemError) in try output.read(into: room) }
            }
            guard case .success(let count?) = result, count > 0 else { break }
            bytes += buffer[..<count]
        }
        if bytes.count == 2, bytes[0] == 0 { return .notExecuted(Int32(bytes[1])) }
        return .text(String(decoding: bytes, as: UTF8.self))
    }
}

/// Bytes in a file that is nothing but memory, for another program to read by its descriptor. Source: `man 2 memfd_create`.
public struct MemoryFile: ~Copyable {
    /// Closed by exec unless it is handed over. Borrowed.
    public let descriptor: Descriptor

    /// Makes one.
    ///
    /// - Parameter name: what /proc shows it as.
    public init(_ bytes: [UInt8], named name: String) throws(SystemError) {
        let file = Descriptor(adopting: try checked("memfd_create") { leasehold_memory_file(name) })
        try Files.write(bytes, to: file.number, named: name)
        descriptor = file
    }

    /// Reads a whole one, whoever has it open beside this process.
    public static func read(_ number: Int32, limit: Int) throws(SystemError) -> [UInt8] {
        var status = stat()
        try checked("fstat") { fstat(number, &status) }
        guard status.st_mode & S_IFMT == S_IFREG, status.st_size <= limit else {
            throw SystemError("read", number: EFBIG)
        }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var done = 0
        while done < bytes.count {
            let got = try checked("pread") {
                bytes.withUnsafeMutableBytes {
                    pread(number, $0.baseAddress.map { $0 + done }, $0.count - done, off_t(done))
                }
            }
            guard got > 0 else { throw SystemError("read", number: EIO) }
            done += got
        }
        return bytes
    }
}
