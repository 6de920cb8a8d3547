import Foundation
import Platform
import TestSupport
import Testing

private typealias Process = Platform.ProcessIdentity

/// What processes have open to write, by the kernel's word.
@Suite struct OpenFilesTests {
    /// Runs a shell that opens a file in some way, and holds it.
    private func with(_ open: String, _ body: (String, Process) throws -> Void) throws {
        try withScratch { scratch in
            let file = try scratch.write("text", to: "file")
            let script = "exec 3\(open)'\(file)'; sleep 60 & echo open; wait"
            let parent = try scratch.start(Program("sh", ["-c", "sh -c \"\(script)\" & wait"]))
            try parent.waitForOutput("open")
            let identity = try #require(Process(runningAs: parent.pid) as Process?)
            try body(file, identity)
        }
    }

    @Test(arguments: [">", "<>", ">>"]) func oneThatIsOpenToWriteIsSeen(_ open: String) throws {
        try with(open) { file, process in
            #expect(OpenFiles.areWritten(file, below: process) == true)
            let other = file + ".other"
            #expect(link(file, other) == 0)
            #expect(OpenFiles.areWritten(other, below: process) == true)
            // Its name may be gone, or another file's.
            #expect(unlink(other) == 0 && unlink(file) == 0)
            #expect(OpenFiles.areWritten(file, below: process) == true)
            #expect(OpenFiles.areWritten(other, below: process) == false)
        }
    }

    @Test func oneThatIsReadOrNotOpenIsNot() throws {
        try with("<") { file, process in
            #expect(OpenFiles.areWritten(file, below: process) == false)
            #expect(OpenFiles.areWritten(file + ".none", below: process) == false)
        }
    }

    /// A process without any below it is no guest whose files were looked at.
    @Test func whatCannotBeSeenIsNotDenied() throws {
        try withScratch { scratch in
            let file = try scratch.write("text", to: "file")
            let alone = try scratch.start(Program("sleep", ["60"]))
            let identity = try #require(Process(runningAs: alone.pid) as Process?)
            #expect(OpenFiles.areWritten(file, below: identity) == nil)
        }
    }
}
