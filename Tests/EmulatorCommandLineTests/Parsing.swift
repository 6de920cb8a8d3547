import Testing

@testable import EmulatorCommandLine

struct NoSuchFile: Error {}

/// Reads a command line that is started in `/there`.
func parse(_ words: [String], in folder: String = "/there", files: [String: String] = [:]) throws -> EmulatorCommandLine
{
    try EmulatorCommandLine(arguments: words, workingDirectory: folder) { path in
        guard let text = files[path] else { throw NoSuchFile() }
        return text
    }
}

/// The disks of `qemu-system-x86_64` with these options, as `MODE PATH`, mode `W`, `S` (shared) or `R`; network disks with `@`.
func disks(_ options: [String], files: [String: String] = [:]) throws -> [String] {
    try parse(["qemu-system-x86_64"] + options, files: files).disks.map(describe)
}

func describe(_ disk: DiskUse) -> String {
    let mode =
        switch disk.mode {
        case .exclusive: "W"
        case .shared: "S"
        case .readonly: "R"
        }
    return "\(mode)\(disk.isNetwork ? "@" : "") \(disk.path)"
}

/// The one line of the error that these options end in.
func refusal(_ options: [String], files: [String: String] = [:]) -> String? {
    do {
        _ = try parse(["qemu-system-x86_64"] + options, files: files)
        return nil
    } catch let error as CommandLineError {
        return error.message
    } catch {
        return "\(error)"
    }
}

/// Options, and what they are expected to give.
struct Sample: CustomTestStringConvertible, Sendable {
    var options: [String]
    var expected: [String]

    /// - Parameter options: split at spaces.
    init(_ options: String, _ expected: String...) {
        self.options = options.split(separator: " ").map(String.init)
        self.expected = expected
    }

    var testDescription: String { options.joined(separator: " ") }
}
