#!/usr/bin/perl
# Checks what a call recorder's access log proves, with Perl's own modules and openssl; nothing of the recorder is needed.
#
#   verify-log.pl KEY note FILE                  a signed note (checkpoint, statement) is signed by the key
#   verify-log.pl KEY proof FILE...              each entry is in the log of its checkpoint; prints the entry
#   verify-log.pl KEY consistency PROOF OLD NEW  the log of checkpoint NEW begins with that of OLD
#
# KEY is a file with the log's public key: name+hash+base64. Ends with 0 where all holds, 1 where something does not.
use strict;
use warnings;
use Digest::SHA qw(sha256);
use File::Temp qw(tempfile);
use MIME::Base64 qw(decode_base64 encode_base64);

my ($key_file, $what, @files) = @ARGV;
refuse("usage: verify-log.pl KEY note|proof|consistency FILE...") unless @files;
my ($name, $id, $public) = read_key($key_file);

if ($what eq 'note') {
    for my $file (@files) {
        open_note(slurp($file), $file);
        print "$file: signed by $name\n";
    }
} elsif ($what eq 'proof') {
    check_proof($_) for @files;
} elsif ($what eq 'consistency') {
    refuse("usage: verify-log.pl KEY consistency PROOF OLD NEW") unless @files == 3;
    check_consistency(@files);
} else {
    refuse("$what is none of note, proof, consistency");
}
exit 0;

sub refuse { print STDERR "NOT PROVED: $_[0]\n"; exit 1 }

sub slurp {
    my ($file) = @_;
    open(my $in, '<:raw', $file) or refuse("$file: $!");
    local $/;
    my $text = <$in>;
    return defined $text ? $text : '';
}

# Base64 in one way only: a changed byte must not decode to the same.
sub strict {
    my ($text, $where) = @_;
    my $data = decode_base64($text);
    refuse("$where: no base64") unless encode_base64($data, '') eq $text;
    return $data;
}

sub read_key {
    my ($file) = @_;
    my $line = slurp($file);
    $line =~ s/\n\z//;
    my ($name, $id, $data) = $line =~ /\A([^+\s]+)\+([0-9a-f]{8})\+(\S+)\z/ or refuse("$file: no public key of a note");
    my $raw = strict($data, $file);
    refuse("$file: no Ed25519 key") unless length($raw) == 33 && substr($raw, 0, 1) eq "\x01";
    refuse("$file: the key's hash does not fit")
        unless unpack('H8', sha256("$name\n$raw")) eq $id;
    return ($name, $id, substr($raw, 1));
}

# The text of a note that the key has signed.
sub open_note {
    my ($note, $where) = @_;
    my ($text, $signatures) = $note =~ /\A(.*?\n)\n((?:\xe2\x80\x94 [^\n]*\n)+)\z/s or refuse("$where: no signed note");
    for my $line (split /\n/, $signatures) {
        my ($who, $data) = $line =~ /\A\xe2\x80\x94 (\S+) (\S+)\z/ or refuse("$where: no signature: $line");
        next unless $who eq $name;
        my $raw = strict($data, $where);
        next unless length($raw) == 68 && unpack('H8', $raw) eq $id;
        refuse("$where: the signature does not fit the text") unless signed($text, substr($raw, 4));
        return $text;
    }
    refuse("$where: not signed by $name");
}

sub signed {
    my ($text, $signature) = @_;
    my $der = pack('H*', '302a300506032b6570032100') . $public;    # RFC 8410
    my @paths = map { put($_) } ($der, $text, $signature);
    my $status = system('openssl', 'pkeyutl', '-verify', '-pubin', '-keyform', 'DER', '-inkey', $paths[0], '-rawin',
        '-in', $paths[1], '-sigfile', $paths[2], '-out', '/dev/null');
    return $status == 0;
}

sub put {
    my ($data) = @_;
    my ($out, $path) = tempfile(UNLINK => 1);
    binmode $out;
    print {$out} $data;
    close $out or refuse("$path: $!");
    return $path;
}

# Size and root of a checkpoint.
sub checkpoint {
    my ($note, $where) = @_;
    my ($origin, $size, $root) = open_note($note, $where) =~ /\A([^\n]+)\n(0|[1-9][0-9]*)\n([^\n]+)\n/
        or refuse("$where: no checkpoint");
    refuse("$where: a checkpoint of $origin") unless $origin eq $name;
    return ($size, strict($root, $where));
}

sub node { return sha256("\x01" . $_[0] . $_[1]) }

# RFC 9162, 2.1.3.2
sub check_proof {
    my ($file) = @_;
    my ($head, $note) = slurp($file) =~ /\Ac2sp\.org\/tlog-proof\@v1\n(.*?)\n\n(.*)\z/s or refuse("$file: no proof");
    my ($extra, $index, @lines) = split /\n/, $head;
    my ($raw) = defined $extra ? $extra =~ /\Aextra (\S+)\z/ : ();
    my ($seq) = defined $index ? $index =~ /\Aindex (0|[1-9][0-9]*)\z/ : ();
    refuse("$file: no entry, or no index") unless defined $raw && defined $seq;
    my ($size, $root) = checkpoint($note, $file);
    my $entry = strict($raw, $file);
    refuse("$file: entry $seq is not among $size") unless $seq < $size;
    my ($fn, $sn, $hash) = ($seq, $size - 1, sha256("\x00$entry"));
    for my $line (@lines) {
        my $p = strict($line, $file);
        refuse("$file: too many hashes") if $sn == 0;
        if ($fn & 1 || $fn == $sn) {
            $hash = node($p, $hash);
            while (!($fn & 1) && $fn != 0) { $fn >>= 1; $sn >>= 1 }
        } else {
            $hash = node($hash, $p);
        }
        $fn >>= 1;
        $sn >>= 1;
    }
    refuse("$file: entry $seq is not the one of the checkpoint") unless $sn == 0 && $hash eq $root;
    refuse("$file: the entry says another number") unless $entry =~ /[{,]"seq":\Q$seq\E[,}]/;
    print "$entry\n";
}

# RFC 9162, 2.1.4.2
sub check_consistency {
    my ($proof, $old_file, $new_file) = @_;
    my ($old, $old_root) = checkpoint(slurp($old_file), $old_file);
    my ($new, $new_root) = checkpoint(slurp($new_file), $new_file);
    my ($first, $from, $to, @lines) = split /\n/, slurp($proof);
    refuse("$proof: no proof of $old and $new entries")
        unless defined $to && $first eq 'kikitori/consistency/v1' && $from eq "old $old" && $to eq "new $new";
    refuse("$proof: $new entries do not begin with $old") unless 0 < $old && $old <= $new;
    my @path = map { strict($_, $proof) } @lines;
    if ($old == $new) {
        refuse("$proof: the roots differ") unless !@path && $old_root eq $new_root;
    } else {
        unshift @path, $old_root if ($old & ($old - 1)) == 0;
        refuse("$proof: no hashes") unless @path;
        my ($fn, $sn) = ($old - 1, $new - 1);
        while ($fn & 1) { $fn >>= 1; $sn >>= 1 }
        my $fr = my $sr = shift @path;
        for my $c (@path) {
            refuse("$proof: too many hashes") if $sn == 0;
            if ($fn & 1 || $fn == $sn) {
                $fr = node($c, $fr);
                $sr = node($c, $sr);
                while (!($fn & 1) && $fn != 0) { $fn >>= 1; $sn >>= 1 }
            } else {
                $sr = node($sr, $c);
            }
            $fn >>= 1;
            $sn >>= 1;
        }
        refuse("$proof: the log of $new entries is not a continuation of that of $old")
            unless $sn == 0 && $fr eq $old_root && $sr eq $new_root;
    }
    print "$new entries begin with the $old of $old_file\n";
}
