import Testing

@testable import EmulatorCommandLine

@Suite struct LauncherTests {
    @Test(arguments: [
        ("qemu-system-x86_64 x", "/there/x"), ("/usr/bin/qemu-system-riscv64 x", "/there/x"), ("kvm x", "/there/x"),
        ("env kvm x", "/there/x"), ("/usr/bin/env -i -u A B=1 -- kvm x", nil),
        ("env -i -u A -- B=1 C= kvm x", "/there/x"),
        ("env - A=1 kvm x", "/there/x"), ("env -C /d kvm x", "/d/x"), ("env -C d kvm x", "/there/d/x"),
        ("env -C/d kvm x", "/d/x"),
        ("env --chdir=/d kvm x", "/d/x"), ("env --chdir /d kvm x", "/d/x"), ("env --chd=/d kvm x", "/d/x"),
        ("env -uA -iC/d kvm x", "/d/x"), ("env --unset=A --ignore-signal=HUP --block-signal kvm x", "/there/x"),
        ("nice kvm x", "/there/x"), ("nice -n 5 kvm x", "/there/x"), ("nice -n5 kvm x", "/there/x"),
        ("nice -10 kvm x", "/there/x"),
        ("nice --10 kvm x", "/there/x"), ("nice --adjustment=3 kvm x", "/there/x"), ("nice --adj 3 kvm x", "/there/x"),
        ("taskset -c 0-3 kvm x", "/there/x"), ("taskset 0xf kvm x", "/there/x"),
        ("taskset --cpu-list 1 kvm x", "/there/x"),
        ("taskset -ac 1 kvm x", "/there/x"),
        ("numactl -N 0 -m 0 kvm x", "/there/x"), ("numactl --cpunodebind=0 --localalloc -- kvm x", "/there/x"),
        ("setpriv --reuid=1 --regid 1 --clear-groups --no-new-privs kvm x", "/there/x"),
        ("sudo kvm x", "/there/x"), ("sudo -u qemu -g kvm -n A=1 kvm x", "/there/x"),
        ("sudo -nEu qemu kvm x", "/there/x"),
        ("sudo -D /d kvm x", "/d/x"), ("sudo --chdir=/d -- kvm x", "/d/x"),
        ("sudo --preserve-env=A,B kvm x", "/there/x"),
        ("systemd-inhibit --what=sleep --who me kvm x", "/there/x"),
        ("ionice -c2 -n 0 kvm x", "/there/x"), ("ionice -c 2 -t kvm x", "/there/x"),
        ("ionice --class idle kvm x", "/there/x"),
        ("chrt -f 50 kvm x", "/there/x"), ("chrt --rr 1 kvm x", "/there/x"), ("chrt -b 0 kvm x", "/there/x"),
        ("chrt -b kvm x", "/there/x"),
        ("sudo env A=1 nice -n 1 taskset -c 0 kvm x", "/there/x"), ("env -C /a env -C b kvm x", "/a/b/x"),
        ("bash -c kvm x", nil), ("sleep 1", nil), ("env", nil), ("env A=1", nil), ("nice", nil), ("", nil),
        ("env --bogus sleep 1", nil),
        ("qemu-img x", nil), ("qemu-system x", nil), ("sudo -R /r sleep 1", nil), ("sudo -u", nil),
    ])
    func launchersAreLookedThrough(_ command: String, _ path: String?) throws {
        if command == "/usr/bin/env -i -u A B=1 -- kvm x" {
            // After the first variable `--` is the command's name.
            #expect(try !parse(command.split(separator: " ").map(String.init)).isEmulator)
            return
        }
        let result = try parse(command.split(separator: " ").map(String.init))
        #expect(result.isEmulator == (path != nil))
        #expect(result.disks.map(\.path) == (path.map { [$0] } ?? []))
        #expect((result.lifetime == .unknown) == (path == nil))
    }

    private static let splits: [(String, [String])] = [
        ("kvm -hda x", ["W /there/x"]), ("-C /d kvm -hda 'a b'", ["W /d/a b"]),
        ("kvm \"a\\_b\" c\\_d", ["W /there/a b", "W /there/c", "W /there/d"]),
        ("A=1 kvm a\\#b # comment", ["W /there/a#b"]), ("kvm a\\c rest", ["W /there/a"]), ("kvm '' x", ["W /there/x"]),
    ]

    @Test(arguments: splits)
    func envSplitsWords(_ text: String, _ expected: [String]) throws {
        #expect(try parse(["env", "-S", text]).disks.map(describe) == expected)
        #expect(try parse(["env", "-vS" + text, "/y"]).disks.map(describe) == expected + ["W /y"])
        #expect(try parse(["env", "--split-string=" + text]).disks.map(describe) == expected)
    }

    @Test(arguments: [
        (["env", "--bogus", "kvm", "x"], "env: the option --bogus is not known"),
        (["sudo", "-Z", "kvm", "x"], "sudo: the option -Z is not known"),
        (["sudo", "-R", "/r", "kvm", "x"], "sudo: with -R the disks are in another root"),
        (["env", "-S", "${WRAPPER} kvm"], "env: env -S takes words from a variable"),
        (["env", "-S", "kvm 'x"], "env: env -S has a quote without an end"),
        (["env", "-C", "", "kvm"], "env: the disk's path is empty"),
        (["sudo", "-i", "kvm", "x"], "x: the path is relative to a folder that isn't known"),
    ])
    func whatCantBeLookedThroughIsRefused(_ words: [String], _ start: String) {
        #expect(throws: CommandLineError.self) { try parse(words) }
        do { _ = try parse(words) } catch let error as CommandLineError {
            #expect(error.message.hasPrefix(start), "\(error.message)")
        } catch {}
    }

    @Test func sudoLoginWithAbsolutePathsIsFine() throws {
        #expect(try parse(["sudo", "-i", "kvm", "/x"]).disks.map(\.path) == ["/x"])
    }
}
