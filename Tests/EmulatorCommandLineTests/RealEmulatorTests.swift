import Foundation
import Testing

@testable import EmulatorCommandLine

/// What is said of a command line, against what QEMU does with it. Without QEMU these fail.
@Suite(.serialized) struct RealEmulatorTests {
    private static let emulator = "/usr/bin/qemu-system-x86_64"

    @Test func qemuOpensWhatIsSaid() throws {
        try withFolder { folder in
            for name in ["a.img", "b.img", "c.img", "@d", "pmem"] { try makeImage(folder + "/" + name) }
            let configuration = "[drive \"d0\"]\n  file = \"a.img\"\n  if = \"virtio\"\n  format = \"raw\"\n"
            try configuration.write(toFile: folder + "/vm.cfg", atomically: false, encoding: .utf8)
            for line in Self.commandLines {
                let options = line.split(separator: " ").map(String.init)
                let opened = try openedFiles(options, in: folder)
                let command = try EmulatorCommandLine(arguments: [Self.emulator] + options, workingDirectory: folder) {
                    path in
                    try String(contentsOfFile: path, encoding: .utf8)
                }
                let said = Dictionary(
                    uniqueKeysWithValues: command.disks.map { (String($0.path), $0.mode != .readonly) })
                #expect(said == opened, "\(line)")
            }
        }
    }

    private static let commandLines = [
        "-drive file=a.img,format=raw,if=virtio @d -readconfig vm.cfg -set drive.d0.file=b.img",
        "-drive file=file:a.img,format=raw,if=virtio,readonly=on,readonly=on -cdrom b.img -snapshot -drive if=virtio,snapshot=off,format=raw,file=c.img",
        "-drive file=a.img,format=raw,if=virtio,snapshot=on -drive file=b.img,format=raw,if=virtio,readonly=y -hdb c.img",
        "-snapshot -hda a.img -blockdev file,filename=b.img,node-name=f -blockdev raw,read-only=on,file=f,node-name=r",
        "-blockdev driver=raw,node-name=r,read-only=on,file.driver=file,file.filename=a.img -drive file=blkverify:b.img:c.img,format=raw,if=virtio",
        "-drive file=json:{'driver':'raw',,'read-only':true,,'file.filename':'a.img'},if=virtio -blockdev raw,node-name=r,read-only=on,file.driver=file,file.filename=b.img,file.read-only=off",
        "-drive driver=quorum,vote-threshold=1,children.0.driver=raw,children.0.file.filename=a.img,children.1.driver=raw,children.1.file.filename=b.img,if=virtio -drive file.filename=c.img,format=raw,if=virtio",
        "-drive file=a.img,format=raw,if=none,id=x -device virtio-blk-pci,drive=x,share-rw=on -drive file=blkdebug::b.img,format=raw,if=virtio -blockdev throttle,node-name=t,throttle-group=g,file.driver=raw,file.file.driver=file,file.file.filename=c.img -object throttle-group,id=g",
        "-machine nvdimm=on -m 128M,slots=2,maxmem=1G -object memory-backend-file,id=m,mem-path=pmem,size=4M,share=on -device nvdimm,memdev=m -drive if=none,id=empty -drive driver=null-co,if=virtio",
    ]

    /// QEMU lets the first `readonly` rule and we go for the one that protects the disk: never is a file that QEMU writes read-only here.
    @Test func whatQemuWritesIsNeverReadOnlyHere() throws {
        try withFolder { folder in
            try makeImage(folder + "/a.img")
            for line in [
                "-drive file=a.img,format=raw,if=virtio,readonly=off,readonly=on",
                "-drive file=a.img,format=raw,if=virtio,readonly=on,readonly=off",
                "-drive file=a.img,format=raw,if=virtio,snapshot=on,snapshot=off",
                "-drive file=a.img,format=raw,if=virtio,snapshot=off,snapshot=on",
            ] {
                let options = line.split(separator: " ").map(String.init)
                let said = try parse([Self.emulator] + options, in: folder).disks
                #expect(said.map(\.path) == [folder + "/a.img"] && said.map(\.mode) == [.exclusive])
                #expect(try openedFiles(options, in: folder).keys.map { $0 } == [folder + "/a.img"], "\(line)")
            }
        }
    }

    /// QEMU's own list of options agrees with ours on which take an argument.
    @Test func everyOptionOfQemusHelpIsKnown() throws {
        let output = "/tmp/ecl-output-\(UUID().uuidString)"
        defer { unlink(output) }
        let child = try start([Self.emulator, "-help"], in: "/", input: "/dev/null", output: output)
        try #require(exitStatus(of: child) == 0)
        let help = try String(contentsOfFile: output, encoding: .utf8)
        var seen = 0
        for line in help.split(separator: "\n") where line.hasPrefix("-") {
            let words = line.split(separator: " ", omittingEmptySubsequences: true)
            for name in (words.first ?? "").split(separator: "/").map({ $0.drop { $0 == "-" } }) {
                seen += 1
                #expect(EmulatorOptions.kind(of: String(name)) != .unknown, "\(line)")
            }
        }
        #expect(seen > 100)
    }

    // MARK: -

    private func makeImage(_ path: String) throws {
        #expect(FileManager.default.createFile(atPath: path, contents: nil))
        let file = try #require(FileHandle(forWritingAtPath: path))
        try file.truncate(atOffset: 4 << 20)
        try file.close()
    }

    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = "/tmp/ecl-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    /// Starts QEMU, looks once it answers on its monitor and so has opened everything, and ends it.
    /// - Returns: the files below `folder`, and whether they are open for writing.
    private func openedFiles(_ options: [String], in folder: String) throws -> [String: Bool] {
        let output = "/tmp/ecl-output-\(UUID().uuidString)"
        let input = output + "-input"
        try "{\"execute\":\"qmp_capabilities\"}\n".write(toFile: input, atomically: false, encoding: .utf8)
        let own = [Self.emulator, "-display", "none", "-nodefaults", "-S", "-no-user-config", "-qmp", "stdio"]
        let pid = try start(own + options, in: folder, input: input, output: output)
        defer {
            kill(pid, SIGKILL)
            _ = exitStatus(of: pid)
            unlink(input)
            unlink(output)
        }
        var said = ""
        for _ in 0..<1000 where !said.contains("\"return\"") {
            usleep(10_000)
            said = try String(contentsOfFile: output, encoding: .utf8)
        }
        try #require(said.contains("\"return\""), "\(options): \(said)")
        var opened: [String: Bool] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd") {
            guard let path = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/\(name)")
            else { continue }
            guard path.hasPrefix(folder + "/") else { continue }
            let info = try String(contentsOfFile: "/proc/\(pid)/fdinfo/\(name)", encoding: .utf8)
            let line = try #require(info.split(separator: "\n").first { $0.hasPrefix("flags:") })
            let flags = try #require(Int32(line.split(whereSeparator: \.isWhitespace).last ?? "", radix: 8))
            opened[path] = (opened[path] ?? false) || flags & O_ACCMODE != O_RDONLY
        }
        return opened
    }

    private func start(_ words: [String], in folder: String, input: String, output: String) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_EXCL, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // env becomes the program, so the process is the one to look at and to end.
        var arguments = (["env", "-C", folder] + words).map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var child: pid_t = 0
        try #require(posix_spawnp(&child, "env", &actions, nil, &arguments, environ) == 0)
        return child
    }

    private func exitStatus(of child: pid_t) -> Int32 {
        var status: Int32 = 0
        while waitpid(child, &status, 0) == -1, errno == EINTR {}
        return status
    }
}
