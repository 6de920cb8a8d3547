import Foundation
import TestSupport

/// A real block device over a sparse file. It goes with the scratch directory, and with the process however that ends.
struct LoopDevice {
    /// Its node in /dev.
    let path: String

    init(in scratch: Scratch, file: String) throws {
        let backing = try scratch.disk(file)
        let path = try Program.run("losetup", ["--find", "--show", backing]).expecting(.exit(0)).output
            .trimmingCharacters(in: .whitespacesAndNewlines)
        let opened = open(path, O_RDONLY | O_CLOEXEC)
        // While it is open here, this has it detached when it no longer is.
        try Program.run("losetup", ["--detach", path]).expecting(.exit(0))
        guard opened >= 0 else { throw TestFailure("can't open \(path)") }
        scratch.atEnd { close(opened) }
        self.path = path
    }

    /// Its number.
    var device: dev_t { status(of: path).st_rdev }

    /// Whether it still has its file.
    var isAttached: Bool {
        (try? Program.run("losetup", ["--list", "--noheadings", "--output", "NAME"]).output.split(separator: "\n"))?
            .contains { $0.hasSuffix(path) } == true
    }
}

func status(of path: String) -> stat {
    var status = stat()
    stat(path, &status)
    return status
}
