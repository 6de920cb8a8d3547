import Foundation

/// Where the programs under test are.
///
/// `LEASEHOLD_BIN` (set by `scripts/test`) names their folder. Without it, the package's own `.build/release`, then the
/// folder of the test bundle.
public enum Products {
    /// The supervisor.
    public static func supervisor() throws -> String { try find("leasehold-supervisor") }

    /// The command line tool.
    public static func cli() throws -> String { try find("leasehold") }

    /// The probe guest. The one that was built together with the tests comes first.
    public static func probe() throws -> String { try find("ProbeGuest", testFolderFirst: true) }

    /// Finds a program of the package.
    ///
    /// - Throws: `TestFailure` that says where it was looked for and how to build it.
    public static func find(_ name: String, testFolderFirst: Bool = false) throws -> String {
        let given = ProcessInfo.processInfo.environment["LEASEHOLD_BIN"]
        let built = ["\(packageFolder)/.build/release"]
        let folders: [String]
        if testFolderFirst {
            folders = [testFolder] + (given.map { [$0] } ?? []) + built + ["\(packageFolder)/.build/debug"]
        } else {
            folders = given.map { [$0] } ?? built + [testFolder]
        }
        for folder in folders where access("\(folder)/\(name)", X_OK) == 0 { return "\(folder)/\(name)" }
        throw TestFailure(
            "\(name) is not in \(folders.joined(separator: ", ")); run `swift build -c release`, or set LEASEHOLD_BIN")
    }

    /// An interpreter for small scripts: `LEASEHOLD_PYTHON` (set by `scripts/test`), which starts at once, where the `python3`
    /// of the PATH may be a shell script that looks for one.
    public static var python: String { ProcessInfo.processInfo.environment["LEASEHOLD_PYTHON"] ?? "python3" }

    private static let packageFolder: String = {
        var url = URL(fileURLWithPath: #filePath)
        while url.path != "/" {
            url.deleteLastPathComponent()
            let manifest = url.appendingPathComponent("Package.swift").path
            if FileManager.default.fileExists(atPath: manifest) { return url.path }
        }
        return FileManager.default.currentDirectoryPath
    }()

    private static let testFolder: String = {
        let executable = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? "/"
        return URL(fileURLWithPath: executable).deletingLastPathComponent().path
    }()
}

/// The guest that tells what it sees, and resists (see `Tests/ProbeGuest`).
public enum Probe {
    /// A program that runs the probe with these arguments.
    public static func program(_ arguments: String...) throws -> Program {
        Program(try Products.probe(), arguments)
    }

    /// A command line of the probe, to put behind a supervisor.
    public static func command(_ arguments: String...) throws -> [String] { [try Products.probe()] + arguments }

    /// A guest that is hard to kill; see `HostileRecord` for what it leaves.
    public static func hostile(_ modes: String..., pidFile: String, lifetime: Double = 60) throws -> Program {
        let list = modes.isEmpty ? "plain" : modes.joined(separator: ",")
        return Program(try Products.probe(), ["hostile", list, pidFile, "\(lifetime)"])
    }
}
