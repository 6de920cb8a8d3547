import Foundation
import Synchronization

/// A private directory, with what has to be undone when it goes.
///
/// It is removed by `remove` (`withScratch` calls it), or when the test process ends, however it ends. Before, what was
/// started in it is ended, last first, and so is every process whose environment mentions the directory.
public final class Scratch: Sendable {
    /// Its absolute path, without symbolic links; short enough for sockets in it (about 15 bytes, under /tmp).
    public let path: String
    private let cleanups = Mutex<[@Sendable () -> Void]>([])

    /// Makes the directory, 0700, in $TMPDIR where that is short enough for sockets, else in /tmp.
    public init() throws {
        let wanted = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
        let usable = wanted.hasPrefix("/") && wanted.utf8.count <= 20 && !wanted.contains { $0.isWhitespace }
        var template = Array("\(usable ? wanted : "/tmp")/lh-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw systemError("can't make a scratch directory in \(wanted)") }
        let made = template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
        guard let resolved = realpath(made, nil) else { throw systemError("can't resolve \(made)") }
        path = String(cString: resolved)
        free(resolved)
        try minder().tell("directory \(path)")
    }

    /// The path of a file in it.
    public func file(_ name: String) -> String { "\(path)/\(name)" }

    /// Writes a file, and returns its path.
    @discardableResult
    public func write(_ content: String, to name: String) throws -> String {
        let file = file(name)
        try Data(content.utf8).write(to: URL(fileURLWithPath: file))
        return file
    }

    /// Makes a directory in it, and returns its path.
    @discardableResult
    public func directory(_ name: String) throws -> String {
        let path = file(name)
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }

    /// Makes a sparse file, and returns its path.
    @discardableResult
    public func disk(_ name: String, mebibytes: Int = 1) throws -> String {
        let path = file(name)
        let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw systemError("can't make \(path)") }
        defer { close(descriptor) }
        guard ftruncate(descriptor, mebibytes << 20) == 0 else { throw systemError("can't size \(path)") }
        return path
    }

    /// Has `action` done when the directory goes; the last one first.
    public func atEnd(_ action: @escaping @Sendable () -> Void) { cleanups.withLock { $0.append(action) } }

    /// Starts a program that is ended with the directory.
    public func start(_ program: Program) throws -> RunningProgram {
        let running = try program.start()
        atEnd { running.end() }
        return running
    }

    /// Living processes whose environment mentions this directory: what a test may have left behind.
    public var strayProcesses: [ProcessIdentity] { processes(mentioningInEnvironment: path) }

    /// Undoes everything and removes the directory. May be called again.
    public func remove() {
        while let action = cleanups.withLock({ $0.popLast() }) { action() }
        // Again, since something that is killed may just have forked.
        for _ in 0..<10 {
            let strays = strayProcesses
            if strays.isEmpty { break }
            try? killAndWait(strays)
        }
        guard FileManager.default.fileExists(atPath: path) else { return }
        do {
            try FileManager.default.removeItem(atPath: path)
            try minder().tell("removed \(path)")
        } catch {
            FileHandle.standardError.write(Data("TestSupport: can't remove \(path): \(error)\n".utf8))
        }
    }
}

/// Runs `body` with a scratch directory that is gone afterwards, also where it throws.
public func withScratch<Result>(_ body: (Scratch) throws -> Result) throws -> Result {
    let scratch = try Scratch()
    defer { scratch.remove() }
    return try body(scratch)
}

/// Runs `body` with a scratch directory that is gone afterwards, also where it throws.
public func withScratch<Result>(
    isolation: isolated (any Actor)? = #isolation, _ body: (Scratch) async throws -> Result
) async throws -> Result {
    let scratch = try Scratch()
    defer { scratch.remove() }
    return try await body(scratch)
}
